-- Sensors say why in both languages and by which calibration their figures are corrected; wall meters.
ALTER TABLE sensors ADD COLUMN reason_code VARCHAR;   -- stable name, collector/telemetry/reasons.py
ALTER TABLE sensors ADD COLUMN reason_zh VARCHAR;
ALTER TABLE sensors ADD COLUMN cure_zh VARCHAR;
ALTER TABLE sensors ADD COLUMN calibrations JSON;     -- [[device, gain, relative 95 % half-width, offset W], ...]

CREATE TABLE calibrations (                  -- one row per calibrated device; the newest one counts
    calibration_id VARCHAR PRIMARY KEY, machine_id VARCHAR NOT NULL,
    sensor VARCHAR NOT NULL,                 -- nvml | rapl | ...
    device VARCHAR,                          -- UUID of the GPU, NULL for a sensor that is one sum
    gain DOUBLE NOT NULL, gain_half_width DOUBLE NOT NULL,          -- true watts = gain * sensor watts + offset
    offset_w DOUBLE NOT NULL, offset_half_width_w DOUBLE NOT NULL,  -- half-widths at 95 %
    covers VARCHAR NOT NULL,                 -- machine: the offset holds the rest of the machine; device: it is the sensor's
    point_count INTEGER NOT NULL, meter VARCHAR NOT NULL, points JSON NOT NULL, calibrated_at TIMESTAMP NOT NULL
);

CREATE TABLE wall_readings (                 -- a wall meter's log, imported beside a campaign
    campaign_id VARCHAR NOT NULL, meter VARCHAR NOT NULL, "at" TIMESTAMP NOT NULL,
    power_w DOUBLE, energy_j DOUBLE,         -- energy_j: cumulative, as the meter counts it
    PRIMARY KEY (campaign_id, meter, "at")
);

CREATE TABLE run_wall_energy (               -- energy of an answer by an imported log; never replaces the run's own
    run_id VARCHAR NOT NULL, meter VARCHAR NOT NULL,
    wall_energy_j DOUBLE, wall_energy_low_j DOUBLE, wall_energy_high_j DOUBLE,
    reason VARCHAR,                          -- why there is none
    imported_at TIMESTAMP NOT NULL, PRIMARY KEY (run_id, meter)
);
