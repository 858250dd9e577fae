-- What people's ratings need to be weighed: which campaign and stratum, why the answer was in the sample, for how many it stands.
ALTER TABLE human_ratings ADD COLUMN campaign_id VARCHAR;
ALTER TABLE human_ratings ADD COLUMN stratum VARCHAR;
ALTER TABLE human_ratings ADD COLUMN why VARCHAR;      -- random | disagree
ALTER TABLE human_ratings ADD COLUMN weight DOUBLE;    -- answers of the stratum that it stands for
