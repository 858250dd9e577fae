-- First schema. Times are UTC TIMESTAMPs, *_ns are monotonic nanoseconds, unknown is NULL.
CREATE TABLE meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);

CREATE TABLE machines (
    machine_id VARCHAR PRIMARY KEY,          -- hash of the fingerprint
    cpu_model VARCHAR, os_family VARCHAR,
    fingerprint JSON NOT NULL,               -- OS, kernel, CPU, governor, RAM, GPUs with UUID, driver, power limit ...
    first_seen_at TIMESTAMP NOT NULL
);

CREATE TABLE sensors (                       -- one capability row per machine, campaign, sensor and field
    machine_id VARCHAR NOT NULL, campaign_id VARCHAR NOT NULL,
    sensor VARCHAR NOT NULL, field VARCHAR NOT NULL,
    source VARCHAR, unit VARCHAR, scope VARCHAR, tier VARCHAR,
    status VARCHAR NOT NULL,                 -- ok | unsupported | denied | missing
    reason VARCHAR, cure VARCHAR, update_period_s DOUBLE, probed_at TIMESTAMP NOT NULL,
    PRIMARY KEY (campaign_id, sensor, field)
);

CREATE TABLE campaigns (
    campaign_id VARCHAR PRIMARY KEY, name VARCHAR NOT NULL,
    experiment_hash VARCHAR NOT NULL, experiment_toml VARCHAR NOT NULL, packages JSON NOT NULL,
    machine_id VARCHAR NOT NULL, engine VARCHAR NOT NULL, engine_version VARCHAR,
    engine_environment JSON, restart_way VARCHAR, suite_version VARCHAR,
    status VARCHAR NOT NULL,                 -- running | finished | stopped | aborted
    started_at TIMESTAMP NOT NULL, finished_at TIMESTAMP, heartbeat_at TIMESTAMP, note VARCHAR
);

CREATE TABLE configurations (
    configuration_id VARCHAR PRIMARY KEY,    -- <model>#<8 hex of digest, quantization, context, options>
    model VARCHAR NOT NULL, model_base VARCHAR, digest VARCHAR, family VARCHAR, parameter_count BIGINT,
    quantization VARCHAR, context_length INTEGER, options JSON NOT NULL,
    engine VARCHAR NOT NULL, engine_version VARCHAR, environment JSON,
    model_size_bytes BIGINT,
    demo BOOLEAN NOT NULL,                   -- an embedded demonstration model: says nothing about real LLMs
    first_seen_at TIMESTAMP NOT NULL
);

CREATE TABLE items (
    item_hash VARCHAR PRIMARY KEY, item VARCHAR NOT NULL, task VARCHAR NOT NULL, load VARCHAR NOT NULL,
    language VARCHAR NOT NULL, prompt VARCHAR NOT NULL, reference VARCHAR, payload JSON NOT NULL,
    suite VARCHAR NOT NULL, suite_version VARCHAR
);

CREATE TABLE cells (                         -- what a campaign plans to measure
    cell_id VARCHAR PRIMARY KEY, campaign_id VARCHAR NOT NULL, position INTEGER NOT NULL,
    model VARCHAR NOT NULL, task VARCHAR NOT NULL, load VARCHAR NOT NULL, language VARCHAR NOT NULL,
    item VARCHAR NOT NULL, item_hash VARCHAR NOT NULL, repeat INTEGER NOT NULL, seed BIGINT NOT NULL,
    state VARCHAR NOT NULL,                  -- planned | done | failed | skipped
    attempts INTEGER NOT NULL DEFAULT 0, reason VARCHAR
);

CREATE TABLE runs (                          -- every attempt to get an answer, one row each
    run_id VARCHAR PRIMARY KEY, cell_id VARCHAR NOT NULL, campaign_id VARCHAR NOT NULL,
    configuration_id VARCHAR NOT NULL, machine_id VARCHAR NOT NULL, cohort VARCHAR NOT NULL,
    task VARCHAR NOT NULL, load VARCHAR NOT NULL, language VARCHAR NOT NULL,
    item VARCHAR NOT NULL, item_hash VARCHAR NOT NULL, repeat INTEGER NOT NULL, attempt INTEGER NOT NULL,
    seed BIGINT, temperature DOUBLE, max_output_tokens INTEGER, started_at TIMESTAMP NOT NULL,
    status VARCHAR NOT NULL,                 -- ok | fault | aborted
    fault VARCHAR, fault_detail VARCHAR, http_status INTEGER, done_reason VARCHAR, flags VARCHAR[] NOT NULL,
    nonce VARCHAR, prompt VARCHAR NOT NULL, reference VARCHAR, has_reference BOOLEAN NOT NULL,
    output_text VARCHAR, thinking_text VARCHAR,
    ttft_s DOUBLE, ttft_answer_s DOUBLE, total_s DOUBLE, server_total_s DOUBLE, load_s DOUBLE, queue_s DOUBLE,
    prefill_s DOUBLE, decode_s DOUBLE, prompt_tokens INTEGER, cached_prompt_tokens INTEGER, output_tokens INTEGER,
    prefill_tokens_per_s DOUBLE, decode_tokens_per_s DOUBLE, throughput_tokens_per_s DOUBLE,
    tpot_s DOUBLE, itl_p50_s DOUBLE, itl_p95_s DOUBLE, client_lag_p50_s DOUBLE, client_lag_p99_s DOUBLE,
    server_raw JSON,                         -- the final chunk as the server sent it
    chunk_t_s DOUBLE[], chunk_server_t_s DOUBLE[], chunk_chars INTEGER[],  -- seconds after the request was sent
    effective_context_length INTEGER, engine_memory_bytes BIGINT, engine_vram_bytes BIGINT,
    energy_j DOUBLE, energy_net_j DOUBLE, energy_low_j DOUBLE, energy_high_j DOUBLE,
    energy_tier VARCHAR, energy_scope VARCHAR, energy_reason VARCHAR, energy_sources JSON,
    cpu_energy_j DOUBLE, gpu_energy_j DOUBLE, energy_prefill_j DOUBLE, energy_decode_j DOUBLE, baseline_power_w DOUBLE,
    cpu_percent_mean DOUBLE, cpu_percent_max DOUBLE, process_cpu_percent_mean DOUBLE, process_cpu_percent_max DOUBLE,
    memory_percent_mean DOUBLE, memory_percent_max DOUBLE, memory_bytes_mean DOUBLE, memory_bytes_max DOUBLE,
    gpu_percent_mean DOUBLE, gpu_percent_max DOUBLE, vram_bytes_mean DOUBLE, vram_bytes_max DOUBLE,
    power_w_mean DOUBLE, power_w_max DOUBLE, disk_read_bytes BIGINT, disk_write_bytes BIGINT,
    sample_count INTEGER, sample_coverage DOUBLE, sample_jitter_p99_s DOUBLE,
    CHECK (energy_j IS NULL OR (energy_tier IS NOT NULL AND energy_scope IS NOT NULL))
);

CREATE TABLE samples (                       -- telemetry of a run, t_s relative to the request being sent
    run_id VARCHAR NOT NULL, t_s DOUBLE NOT NULL,
    cpu_percent DOUBLE, process_cpu_percent DOUBLE, process_cpu_s DOUBLE,
    memory_percent DOUBLE, memory_bytes BIGINT,        -- memory_bytes: resident set of the engine's process tree
    disk_read_bytes BIGINT, disk_write_bytes BIGINT,   -- cumulative, whole machine
    gpu_percent DOUBLE, vram_bytes BIGINT,             -- all GPUs: mean utilisation, summed memory
    power_w DOUBLE, power_scope VARCHAR,
    cpu_energy_j DOUBLE, gpu_energy_j DOUBLE,          -- cumulative since the sampler started
    temperature_c DOUBLE, gpus JSON
);

CREATE TABLE scores (
    run_id VARCHAR NOT NULL, metric VARCHAR NOT NULL, direction VARCHAR NOT NULL,
    raw DOUBLE, value DOUBLE, checkpoint VARCHAR, revision VARCHAR, dtype VARCHAR,
    sum_logprob DOUBLE, token_count INTEGER, truncated BOOLEAN, floor DOUBLE, reason VARCHAR, scored_at TIMESTAMP NOT NULL,
    PRIMARY KEY (run_id, metric, direction)
);

CREATE TABLE qualities (                     -- the one quality of a run, rewritten when it is scored again
    run_id VARCHAR PRIMARY KEY, quality DOUBLE, quality_reason VARCHAR, factuality DOUBLE, relevance DOUBLE,
    fluency DOUBLE, bartscore DOUBLE, passed BOOLEAN, flags VARCHAR[] NOT NULL, scorer_version VARCHAR NOT NULL,
    checkpoint VARCHAR, detail JSON, scored_at TIMESTAMP NOT NULL,
    CHECK (quality IS NULL OR (quality >= 0 AND quality <= 1)), CHECK (quality IS NOT NULL OR quality_reason IS NOT NULL)
);

CREATE TABLE score_cache (
    key VARCHAR PRIMARY KEY, sum_logprob DOUBLE NOT NULL, token_count INTEGER NOT NULL, truncated BOOLEAN NOT NULL
);

CREATE TABLE anchors (                       -- lo and hi of one item, direction and checkpoint
    item_hash VARCHAR NOT NULL, direction VARCHAR NOT NULL, checkpoint VARCHAR NOT NULL,
    lo DOUBLE, hi DOUBLE, computed_at TIMESTAMP NOT NULL, PRIMARY KEY (item_hash, direction, checkpoint)
);

CREATE TABLE human_ratings (
    rating_id VARCHAR PRIMARY KEY, run_id VARCHAR, group_key VARCHAR, rater VARCHAR NOT NULL, rated_at TIMESTAMP NOT NULL,
    factuality INTEGER, relevance INTEGER, fluency INTEGER, diversity INTEGER, note VARCHAR, pass INTEGER NOT NULL DEFAULT 1
);

CREATE TABLE events (
    event_id VARCHAR PRIMARY KEY, "at" TIMESTAMP NOT NULL, campaign_id VARCHAR, run_id VARCHAR,
    kind VARCHAR NOT NULL,                   -- fault | restart | note | schedule | sensor | score
    name VARCHAR NOT NULL, detail VARCHAR
);

CREATE TABLE flag_effects (flag VARCHAR PRIMARY KEY, effect VARCHAR NOT NULL);  -- filled from db/flags.py

CREATE TABLE schemes (
    scheme VARCHAR PRIMARY KEY, definition JSON NOT NULL, hash VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL
);

CREATE TABLE ratings (                       -- history: a row only when data or scheme changed
    rated_at TIMESTAMP NOT NULL, input_hash VARCHAR NOT NULL, scheme VARCHAR NOT NULL, campaign_id VARCHAR,
    cohort VARCHAR NOT NULL, task VARCHAR NOT NULL, configuration VARCHAR NOT NULL, model VARCHAR, digest VARCHAR,
    family VARCHAR, parameter_count BIGINT, quantization VARCHAR, context_length INTEGER, engine VARCHAR, engine_version VARCHAR,
    status VARCHAR NOT NULL, grade VARCHAR, grade_probability DOUBLE, grade_low VARCHAR, grade_high VARCHAR,
    eei DOUBLE, eei_low DOUBLE, eei_high DOUBLE,
    joules_per_success DOUBLE, joules_per_success_low DOUBLE, joules_per_success_high DOUBLE, eqr_per_kj DOUBLE,
    quality DOUBLE, quality_low DOUBLE, quality_high DOUBLE, quality_class VARCHAR, energy_j DOUBLE,
    n_items INTEGER, n_repeats DOUBLE, rank_low INTEGER, rank_high INTEGER, reasons JSON NOT NULL, items_needed INTEGER
);
