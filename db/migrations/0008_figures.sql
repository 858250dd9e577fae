-- Means and medians per configuration and task, made again whenever ratings are: db/figures.py.
CREATE TABLE figures (
    cohort VARCHAR, configuration VARCHAR, model VARCHAR, quantization VARCHAR, task VARCHAR, answers BIGINT, demo BOOLEAN,
    energy_tier VARCHAR, energy_j DOUBLE, energy_net_j DOUBLE, quality DOUBLE, scored BIGINT, decode_tokens_per_s DOUBLE,
    ttft_s DOUBLE, total_s DOUBLE, output_tokens DOUBLE
);
