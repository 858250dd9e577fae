-- What the protocol measures beside the answers: idle power, loads of models, and whether the joules add up.
ALTER TABLE runs ADD COLUMN ttft_thinking_s DOUBLE;
ALTER TABLE runs ADD COLUMN cache_state VARCHAR;      -- cold | unique_prefix | cached
ALTER TABLE runs ADD COLUMN batch_id VARCHAR;         -- answers measured in one energy window
ALTER TABLE runs ADD COLUMN batch_size INTEGER;
ALTER TABLE runs ADD COLUMN baseline_id VARCHAR;      -- the idle baseline that was subtracted
ALTER TABLE runs ADD COLUMN start_temperature_c DOUBLE;   -- hottest GPU when the request was sent
ALTER TABLE runs ADD COLUMN other_cpu_cores DOUBLE;   -- cores kept busy by processes that are not the engine's

ALTER TABLE campaigns ADD COLUMN load_average DOUBLE;             -- of a minute, before anything of ours ran
ALTER TABLE campaigns ADD COLUMN reference_temperature_c DOUBLE;  -- hottest GPU, before the first load
ALTER TABLE campaigns ADD COLUMN idle_vram_bytes BIGINT;          -- all GPUs, before the first load

CREATE TABLE baselines (                     -- power while nothing is asked
    baseline_id VARCHAR PRIMARY KEY, campaign_id VARCHAR NOT NULL, machine_id VARCHAR NOT NULL,
    configuration_id VARCHAR,                -- NULL: no model was loaded
    kind VARCHAR NOT NULL,                   -- unloaded | loaded | spot (a short check of the one in force)
    measured_at TIMESTAMP NOT NULL, duration_s DOUBLE NOT NULL,
    power_w DOUBLE, standard_error_w DOUBLE, tier VARCHAR, scope VARCHAR,
    drift DOUBLE,                            -- relative to the baseline in force before; NULL for the first
    temperature_c DOUBLE, vram_bytes BIGINT, cpu_percent DOUBLE,
    reason VARCHAR                           -- why there is no power
);

CREATE TABLE model_loads (                   -- every time that a model was brought into memory
    load_id VARCHAR PRIMARY KEY, campaign_id VARCHAR NOT NULL, machine_id VARCHAR NOT NULL, cohort VARCHAR NOT NULL,
    configuration_id VARCHAR NOT NULL,
    cause VARCHAR NOT NULL,                  -- case | run (a new process for every answer) | fault
    loaded_at TIMESTAMP NOT NULL, load_s DOUBLE NOT NULL,
    energy_j DOUBLE, energy_net_j DOUBLE, energy_low_j DOUBLE, energy_high_j DOUBLE,
    energy_tier VARCHAR, energy_scope VARCHAR, energy_reason VARCHAR, flags VARCHAR[] NOT NULL,
    loaded_idle_power_w DOUBLE, unloaded_idle_power_w DOUBLE,
    memory_bytes BIGINT, vram_bytes BIGINT
);

CREATE TABLE closures (                      -- do the joules add up: one row per call that measured
    closure_id VARCHAR PRIMARY KEY, campaign_id VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL, ended_at TIMESTAMP NOT NULL, scope VARCHAR, tier VARCHAR,
    total_j DOUBLE,                          -- by the counters from first to last sample
    runs_j DOUBLE, loads_j DOUBLE, baselines_j DOUBLE, between_j DOUBLE,
    mismatch DOUBLE,                         -- (parts - total) / total
    reason VARCHAR                           -- why there is no total
);
