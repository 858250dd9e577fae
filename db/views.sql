-- Stable views that others may query. Recreated after every migration; documented column by column in docs/data.md.
CREATE OR REPLACE VIEW v_runs AS
SELECT r.run_id, r.campaign_id AS campaign, r.cohort, r.configuration_id AS configuration, c.engine, c.engine_version,
    c.model, c.model_base, c.digest, c.family, c.parameter_count, c.quantization, c.context_length, c.demo,
    r.task, r.load, r.language, r.item, r.item_hash, r.repeat, r.attempt, r.seed, r.temperature, r.max_output_tokens,
    r.started_at, r.status, r.fault, r.fault_detail, r.done_reason,
    r.ttft_s, r.ttft_thinking_s, r.ttft_answer_s, r.total_s, r.server_total_s, r.load_s, r.queue_s, r.prefill_s, r.decode_s,
    r.prompt_tokens, r.cached_prompt_tokens, r.output_tokens,
    r.prefill_tokens_per_s, r.decode_tokens_per_s, r.throughput_tokens_per_s, r.tpot_s, r.itl_p50_s, r.itl_p95_s,
    r.client_lag_p50_s, r.client_lag_p99_s,
    r.energy_j, r.energy_net_j, r.energy_low_j, r.energy_high_j, r.energy_tier, r.energy_scope, r.energy_reason,
    r.cpu_energy_j, r.gpu_energy_j, r.energy_prefill_j, r.energy_decode_j, r.baseline_power_w,
    r.cache_state, r.batch_id, r.batch_size, r.start_temperature_c, r.other_cpu_cores,
    r.cpu_percent_mean, r.cpu_percent_max, r.process_cpu_percent_mean, r.process_cpu_percent_max,
    r.memory_percent_mean, r.memory_percent_max, r.memory_bytes_mean, r.memory_bytes_max,
    r.gpu_percent_mean, r.gpu_percent_max, r.vram_bytes_mean, r.vram_bytes_max, r.power_w_mean, r.power_w_max,
    r.disk_read_bytes, r.disk_write_bytes, r.sample_count, r.sample_coverage, r.sample_jitter_p99_s,
    q.quality, CASE WHEN q.run_id IS NULL THEN CASE WHEN r.status = 'ok' THEN 'not_scored_yet' ELSE 'no_answer' END
               ELSE q.quality_reason END AS quality_reason,
    q.factuality, q.relevance, q.fluency, q.bartscore, q.passed, q.checkpoint AS quality_checkpoint, q.scorer_version,
    r.has_reference,
    -- most answers have none: sorting and joining only where there are some
    CASE WHEN len(r.flags) = 0 AND coalesce(len(q.flags), 0) = 0 THEN ''
        ELSE array_to_string(list_sort(list_distinct(list_concat(r.flags, coalesce(q.flags, []::VARCHAR[])))), ',') END AS flags,
    r.prompt, r.reference, r.output_text
FROM runs r
LEFT JOIN configurations c USING (configuration_id)
LEFT JOIN qualities q USING (run_id);

-- The rows that count: an answer came, and no flag of it leaves the row out (flag table: db/flags.py, docs/protocol.md).
-- A flag that the table does not know leaves the row out too.
CREATE OR REPLACE VIEW v_runs_valid AS
SELECT v.* FROM v_runs v
WHERE v.status = 'ok'
  AND (v.flags = '' OR list_has_all(
      (SELECT list(flag) FROM flag_effects WHERE effect <> 'left_out'), string_split(v.flags, ',')));

CREATE OR REPLACE VIEW v_scores AS
SELECT run_id, metric, direction, raw, value, checkpoint, revision, dtype, sum_logprob, token_count, truncated, windowed,
    floor, reason, scored_at
FROM scores;

CREATE OR REPLACE VIEW v_samples AS SELECT * FROM samples;

-- The newest rating of each cohort, task, configuration and scheme.
CREATE OR REPLACE VIEW v_ratings AS
SELECT * EXCLUDE (row_nr) FROM (
    SELECT *, row_number() OVER (PARTITION BY scheme, cohort, task, configuration ORDER BY rated_at DESC) AS row_nr FROM ratings)
WHERE row_nr = 1;

-- What loading a model costs and what holding it costs: for "keep it loaded, or unload it after every answer".
CREATE OR REPLACE VIEW v_model_loads AS
SELECT l.load_id, l.campaign_id AS campaign, l.cohort, l.configuration_id AS configuration, c.engine, c.model,
    c.quantization, l.cause, l.loaded_at, l.load_s, l.energy_j, l.energy_net_j, l.energy_low_j, l.energy_high_j,
    l.energy_tier, l.energy_scope, l.energy_reason, l.loaded_idle_power_w, l.unloaded_idle_power_w,
    l.loaded_idle_power_w - l.unloaded_idle_power_w AS holding_power_w, l.memory_bytes, l.vram_bytes,
    array_to_string(list_sort(l.flags), ',') AS flags
FROM model_loads l LEFT JOIN configurations c USING (configuration_id);

-- What an imported wall meter says of an answer, beside the run's own figure.
CREATE OR REPLACE VIEW v_wall_energy AS
SELECT w.run_id, v.campaign, v.configuration, v.item, v.repeat, v.attempt, w.meter,
    w.wall_energy_j, w.wall_energy_low_j, w.wall_energy_high_j, w.reason,
    v.energy_j, v.energy_tier, v.energy_scope, w.wall_energy_j / nullif(v.energy_j, 0) AS ratio
FROM run_wall_energy w JOIN v_runs v USING (run_id);

-- How much answers differ from repeat to repeat, per campaign, configuration, task, load and language.
CREATE OR REPLACE VIEW v_diversity AS
SELECT d.campaign_id AS campaign, d.configuration_id AS configuration, c.engine, c.model, c.quantization,
    d.task, d.load, d.language, d.n_items, d.n_answers, d.mean_length, d.distinct_1, d.distinct_2, d.adjusted_distinct,
    d.self_bleu, d.compression_ratio, d.vendi, d.deterministic, d.reason, d.computed_at
FROM diversity d LEFT JOIN configurations c USING (configuration_id);

-- What people said on the spot-check page: of one answer, or (diversity) of all repeats of one item.
CREATE OR REPLACE VIEW v_human_ratings AS
SELECT h.rating_id, h.rated_at, h.rater, h."pass", h.campaign_id AS campaign, h.run_id, h.group_key,
    r.configuration_id AS configuration, r.task, r.load, r.language, r.item,
    h.factuality, h.relevance, h.fluency, h.diversity, h.note, h.stratum, h.why, h.weight
FROM human_ratings h LEFT JOIN runs r USING (run_id);
