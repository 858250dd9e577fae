-- How much the answers to an item differ when it is asked again, averaged over the items of a cell.
CREATE TABLE diversity (
    campaign_id VARCHAR NOT NULL, configuration_id VARCHAR NOT NULL,
    task VARCHAR NOT NULL, load VARCHAR NOT NULL, language VARCHAR NOT NULL,
    n_items INTEGER NOT NULL, n_answers INTEGER NOT NULL,           -- with at least 3 answers; over which it is averaged
    mean_length DOUBLE,                      -- words (Chinese: characters) of an answer
    distinct_1 DOUBLE, distinct_2 DOUBLE, adjusted_distinct DOUBLE, self_bleu DOUBLE, compression_ratio DOUBLE,
    vendi DOUBLE,                            -- effective number of different answers
    deterministic BOOLEAN NOT NULL,          -- asked at temperature 0
    reason VARCHAR,                          -- why there is no figure: few_answers
    input_hash VARCHAR NOT NULL,             -- of the answers and the method
    computed_at TIMESTAMP NOT NULL,
    PRIMARY KEY (campaign_id, configuration_id, task, load, language),
    CHECK ((vendi IS NULL) = (reason IS NOT NULL))
);
