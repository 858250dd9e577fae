-- Long texts are scored in windows, and what scoring itself took is booked apart from the models' energy.
ALTER TABLE scores ADD COLUMN windowed BOOLEAN;
ALTER TABLE scores ADD COLUMN pairs JSON;     -- per reference, each pair's [sum_logprob, token_count]
ALTER TABLE score_cache ADD COLUMN windowed BOOLEAN;
ALTER TABLE anchors ADD COLUMN version INTEGER;  -- of the rule that made them; NULL is an older one

CREATE TABLE evaluations (                   -- one call of the scorer for one campaign
    evaluation_id VARCHAR PRIMARY KEY, campaign_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL,
    duration_s DOUBLE NOT NULL, cpu_s DOUBLE NOT NULL, checkpoint VARCHAR, device VARCHAR, answers INTEGER NOT NULL,
    pairs INTEGER NOT NULL,                  -- pairs of texts that were computed, not found in the cache
    energy_j DOUBLE, energy_tier VARCHAR, energy_scope VARCHAR, energy_reason VARCHAR,
    CHECK (energy_j IS NOT NULL OR energy_reason IS NOT NULL)
);
