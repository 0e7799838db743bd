-- The tables of a ledger in an SQLite file. Every statement may be run again.
-- Times are whole microseconds since 1970 UTC, ids are 32 hexadecimal digits.

CREATE TABLE IF NOT EXISTS ledger_meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- The log. Columns are named as the event-sourcing library names them; ledger_events_readable is for people.
CREATE TABLE IF NOT EXISTS ledger_events (
    notification_id    INTEGER PRIMARY KEY, -- the position: 1, 2, 3, ... without gaps
    originator_id      TEXT    NOT NULL,    -- the stream
    originator_version INTEGER NOT NULL,
    topic              TEXT    NOT NULL,    -- the stored name
    state              BLOB    NOT NULL,    -- JSON, exactly the bytes that are hashed
    digest             BLOB    NOT NULL,    -- SHA-256 of state
    log_time           INTEGER NOT NULL,
    last               INTEGER NOT NULL,    -- position of the last event of the same save
    UNIQUE (originator_id, originator_version)
);

CREATE TABLE IF NOT EXISTS ledger_receipts (
    namespace   TEXT    NOT NULL,
    customer    TEXT    NOT NULL,
    command_id  TEXT    NOT NULL,
    unit        TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    answer      TEXT    NOT NULL,
    written     TEXT    NOT NULL,           -- [[stream, version, digest], ...]
    digest      TEXT    NOT NULL,           -- SHA-256 of all of the above, see Receipt
    first       INTEGER NOT NULL,
    last        INTEGER NOT NULL,
    log_time    INTEGER NOT NULL,
    PRIMARY KEY (namespace, customer, command_id)
);

CREATE TABLE IF NOT EXISTS ledger_charge_index (
    charge        TEXT    PRIMARY KEY,
    namespace     TEXT    NOT NULL,
    customer      TEXT    NOT NULL,
    charge_type   TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    advance_after INTEGER,
    ordinal       INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS ledger_charge_index_customer ON ledger_charge_index (namespace, customer, ordinal);
-- What a customer has due, and who has something due, both without walking over closed charges.
CREATE INDEX IF NOT EXISTS ledger_charge_index_waiting ON ledger_charge_index (namespace, customer, advance_after)
    WHERE advance_after IS NOT NULL;
CREATE INDEX IF NOT EXISTS ledger_charge_index_due ON ledger_charge_index (namespace, advance_after, customer)
    WHERE advance_after IS NOT NULL;
-- What a customer has that is not over, however much there was before.
CREATE INDEX IF NOT EXISTS ledger_charge_index_running ON ledger_charge_index (namespace, customer, ordinal)
    WHERE status NOT IN ('final', 'deleted');

CREATE TABLE IF NOT EXISTS ledger_reservations (
    namespace TEXT NOT NULL,
    customer  TEXT NOT NULL,
    kind      TEXT NOT NULL,
    key       TEXT NOT NULL,
    owner     TEXT NOT NULL,
    PRIMARY KEY (namespace, customer, kind, key)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS ledger_snapshots (
    stream  TEXT    PRIMARY KEY,
    version INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    data    BLOB    NOT NULL
);

-- What is written stays written.
CREATE TRIGGER IF NOT EXISTS ledger_events_no_update BEFORE UPDATE ON ledger_events
BEGIN
    SELECT RAISE(ABORT, 'ledger_events is append only');
END;

CREATE TRIGGER IF NOT EXISTS ledger_events_no_delete BEFORE DELETE ON ledger_events
BEGIN
    SELECT RAISE(ABORT, 'ledger_events is append only');
END;

CREATE TRIGGER IF NOT EXISTS ledger_receipts_no_update BEFORE UPDATE ON ledger_receipts
BEGIN
    SELECT RAISE(ABORT, 'ledger_receipts is append only');
END;

CREATE TRIGGER IF NOT EXISTS ledger_receipts_no_delete BEFORE DELETE ON ledger_receipts
BEGIN
    SELECT RAISE(ABORT, 'ledger_receipts is append only');
END;

CREATE VIEW IF NOT EXISTS ledger_events_readable AS
SELECT notification_id AS position,
       originator_id AS stream,
       originator_version AS version,
       topic AS name,
       strftime('%Y-%m-%dT%H:%M:%fZ', log_time / 1000000.0, 'unixepoch') AS log_time,
       CAST(state AS TEXT) AS event
FROM ledger_events;
