-- The logs of our own engine processes, and why the settings of somebody else's are not known.
ALTER TABLE campaigns ADD COLUMN engine_environment_reason VARCHAR;

CREATE TABLE engine_logs (                   -- one row per process of an engine that was our child
    log_id VARCHAR PRIMARY KEY, campaign_id VARCHAR NOT NULL, way VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL,
    ended_at TIMESTAMP NOT NULL,             -- when its end was seen
    exit_code BIGINT,                        -- negative: the number of a signal
    ended_by VARCHAR NOT NULL,               -- us | itself (nobody asked it to end)
    log_bytes BIGINT NOT NULL,               -- of all it wrote
    text VARCHAR NOT NULL                    -- what it wrote; a long one without its middle
);
