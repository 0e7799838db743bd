-- The tables and functions of a ledger in one schema of a PostgreSQL database.
-- Run once, in one transaction, with that schema alone on the search path.

CREATE TABLE ledger_meta (
    key   text PRIMARY KEY,
    value text NOT NULL
);

-- The log. Columns are named as the event-sourcing library names them; ledger_events_readable is for people.
CREATE TABLE ledger_events (
    notification_id    bigint      PRIMARY KEY, -- the position: 1, 2, 3, ... without gaps
    originator_id      uuid        NOT NULL,    -- the stream
    originator_version bigint      NOT NULL,
    topic              text        NOT NULL,    -- the stored name
    state              bytea       NOT NULL,    -- JSON, exactly the bytes that are hashed
    digest             bytea       NOT NULL,    -- SHA-256 of state
    log_time           timestamptz NOT NULL,
    last               bigint      NOT NULL,    -- position of the last event of the same save
    UNIQUE (originator_id, originator_version)
);

CREATE TABLE ledger_receipts (
    namespace   text COLLATE "C" NOT NULL,
    customer    text COLLATE "C" NOT NULL,
    command_id  uuid        NOT NULL,
    unit        text        NOT NULL,
    fingerprint text        NOT NULL,
    answer      text        NOT NULL,
    written     text        NOT NULL,           -- [[stream, version, digest], ...]
    digest      text        NOT NULL,           -- SHA-256 of all of the above, see Receipt
    first       bigint      NOT NULL,
    last        bigint      NOT NULL,
    log_time    timestamptz NOT NULL,
    PRIMARY KEY (namespace, customer, command_id)
);

CREATE TABLE ledger_charge_index (
    charge        uuid        PRIMARY KEY,
    namespace     text COLLATE "C" NOT NULL,
    customer      text COLLATE "C" NOT NULL,
    charge_type   text        NOT NULL,
    status        text        NOT NULL,
    advance_after timestamptz,
    ordinal       bigint      NOT NULL
) WITH (fillfactor = 70);                       -- room for a new status on the same page

CREATE INDEX ledger_charge_index_customer ON ledger_charge_index (namespace, customer, ordinal);
-- What a customer has due, and who has something due, both without walking over closed charges.
CREATE INDEX ledger_charge_index_waiting ON ledger_charge_index (namespace, customer, advance_after)
    WHERE advance_after IS NOT NULL;
CREATE INDEX ledger_charge_index_due ON ledger_charge_index (namespace, advance_after, customer)
    WHERE advance_after IS NOT NULL;
-- What a customer has that is not over, however much there was before.
CREATE INDEX ledger_charge_index_running ON ledger_charge_index (namespace, customer, ordinal)
    WHERE status NOT IN ('final', 'deleted');

CREATE TABLE ledger_reservations (
    namespace text COLLATE "C" NOT NULL,
    customer  text COLLATE "C" NOT NULL,
    kind      text COLLATE "C" NOT NULL,
    key       text COLLATE "C" NOT NULL,
    owner     uuid NOT NULL,
    PRIMARY KEY (namespace, customer, kind, key)
);

CREATE TABLE ledger_snapshots (
    stream  uuid   PRIMARY KEY,
    version bigint NOT NULL,
    name    text   NOT NULL,
    data    bytea  NOT NULL
);

CREATE VIEW ledger_events_readable AS
SELECT notification_id AS position,
       originator_id AS stream,
       originator_version AS version,
       topic AS name,
       log_time,
       convert_from(state, 'UTF8')::jsonb AS event
FROM ledger_events;

-- What is written stays written.
CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_events
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_receipts
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

-- Appends a group of saves and says where each landed; a save that lost a race gets nulls and leaves nothing.
-- Saves are numbered from 1, and no two of a group touch the same stream, charge, key or receipt.
--
-- Positions are given out under a lock that is held until commit, so that commit order is position order and no
-- reader can pass over a gap. It is an advisory lock: VACUUM and ANALYZE never wait for it, nor writers for them.
CREATE FUNCTION ledger_append(
    save_now timestamptz[], save_size int[],
    event_save int[], event_place int[], event_stream uuid[], event_version bigint[],
    event_name text[], event_data bytea[], event_digest bytea[],
    relied_save int[], relied_stream uuid[], relied_version bigint[],
    receipt_save int[], receipt_namespace text[], receipt_customer text[], receipt_command uuid[],
    receipt_unit text[], receipt_fingerprint text[], receipt_answer text[], receipt_written text[],
    receipt_digest text[],
    charge_save int[], charge_id uuid[], charge_namespace text[], charge_customer text[], charge_type text[],
    charge_status text[], charge_due timestamptz[], charge_ordinal bigint[], charge_birth bigint[],
    hold_save int[], hold_namespace text[], hold_customer text[], hold_kind text[], hold_key text[],
    hold_wanted uuid[], hold_owner uuid[],
    OUT firsts bigint[], OUT lasts bigint[], OUT log_times timestamptz[]
) LANGUAGE plpgsql AS $$
DECLARE
    head  bigint := 0;
    clock timestamptz;
    stale int[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger_events ' || current_schema(), 0));

    SELECT e.notification_id, e.log_time INTO head, clock
    FROM ledger_events e ORDER BY e.notification_id DESC LIMIT 1;
    head := coalesce(head, 0);

    -- Who lost a race: a stream moved, a receipt exists, a key is held by another.
    SELECT array_agg(lost.save) INTO stale FROM (
        SELECT r.save FROM unnest(relied_save, relied_stream, relied_version) AS r (save, stream, version)
        WHERE r.version <> coalesce((
            SELECT e.originator_version FROM ledger_events e WHERE e.originator_id = r.stream
            ORDER BY e.originator_version DESC LIMIT 1), 0)
        UNION ALL
        SELECT r.save
        FROM unnest(receipt_save, receipt_namespace, receipt_customer, receipt_command)
            AS r (save, namespace, customer, command_id)
        WHERE EXISTS (
            SELECT FROM ledger_receipts k
            WHERE k.namespace = r.namespace AND k.customer = r.customer AND k.command_id = r.command_id)
        UNION ALL
        SELECT h.save
        FROM unnest(hold_save, hold_namespace, hold_customer, hold_kind, hold_key, hold_wanted)
            AS h (save, namespace, customer, kind, key, wanted)
        WHERE EXISTS (
            SELECT FROM ledger_reservations k
            WHERE k.namespace = h.namespace AND k.customer = h.customer AND k.kind = h.kind AND k.key = h.key
                AND k.owner <> h.wanted)
    ) AS lost;

    FOR i IN 1 .. cardinality(save_now) LOOP
        IF i = ANY (stale) THEN
            firsts[i] := NULL;
            lasts[i] := NULL;
            log_times[i] := NULL;
        ELSE
            clock := greatest(clock, save_now[i]);
            firsts[i] := head + 1;
            head := head + save_size[i];
            lasts[i] := head;
            log_times[i] := clock;
        END IF;
    END LOOP;

    INSERT INTO ledger_events
        (notification_id, originator_id, originator_version, topic, state, digest, log_time, last)
    SELECT firsts[e.save] + e.place, e.stream, e.version, e.name, e.data, e.digest, log_times[e.save], lasts[e.save]
    FROM unnest(event_save, event_place, event_stream, event_version, event_name, event_data, event_digest)
        AS e (save, place, stream, version, name, data, digest)
    WHERE firsts[e.save] IS NOT NULL;
    IF FOUND THEN
        PERFORM pg_notify('ledger_events_' || left(md5(current_schema()), 16), '');
    END IF;

    IF cardinality(receipt_save) > 0 THEN
        INSERT INTO ledger_receipts
            (namespace, customer, command_id, unit, fingerprint, answer, written, digest, first, last, log_time)
        SELECT r.namespace, r.customer, r.command_id, r.unit, r.fingerprint, r.answer, r.written, r.digest,
            firsts[r.save], lasts[r.save], log_times[r.save]
        FROM unnest(receipt_save, receipt_namespace, receipt_customer, receipt_command, receipt_unit,
                receipt_fingerprint, receipt_answer, receipt_written, receipt_digest)
            AS r (save, namespace, customer, command_id, unit, fingerprint, answer, written, digest)
        WHERE firsts[r.save] IS NOT NULL;
    END IF;

    IF cardinality(charge_save) > 0 THEN
        INSERT INTO ledger_charge_index (charge, namespace, customer, charge_type, status, advance_after, ordinal)
        SELECT c.charge, c.namespace, c.customer, c.charge_type, c.status, c.due,
            coalesce(nullif(c.ordinal, 0), firsts[c.save] + c.birth, ledger_birth(c.charge), lasts[c.save])
        FROM unnest(charge_save, charge_id, charge_namespace, charge_customer, charge_type, charge_status,
                charge_due, charge_ordinal, charge_birth)
            AS c (save, charge, namespace, customer, charge_type, status, due, ordinal, birth)
        WHERE firsts[c.save] IS NOT NULL
        ON CONFLICT (charge) DO UPDATE SET
            namespace = excluded.namespace, customer = excluded.customer, charge_type = excluded.charge_type,
            status = excluded.status, advance_after = excluded.advance_after;
    END IF;

    IF cardinality(hold_save) > 0 THEN
        DELETE FROM ledger_reservations k
        USING unnest(hold_save, hold_namespace, hold_customer, hold_kind, hold_key, hold_owner)
            AS h (save, namespace, customer, kind, key, owner)
        WHERE h.owner IS NULL AND firsts[h.save] IS NOT NULL
            AND k.namespace = h.namespace AND k.customer = h.customer AND k.kind = h.kind AND k.key = h.key;
        INSERT INTO ledger_reservations (namespace, customer, kind, key, owner)
        SELECT h.namespace, h.customer, h.kind, h.key, h.owner
        FROM unnest(hold_save, hold_namespace, hold_customer, hold_kind, hold_key, hold_owner)
            AS h (save, namespace, customer, kind, key, owner)
        WHERE h.owner IS NOT NULL AND firsts[h.save] IS NOT NULL
        ON CONFLICT (namespace, customer, kind, key) DO UPDATE SET owner = excluded.owner;
    END IF;
END
$$;

-- The position of a charge's first event.
CREATE FUNCTION ledger_birth(charge uuid) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT notification_id FROM ledger_events WHERE originator_id = charge ORDER BY originator_version LIMIT 1
$$;

-- The last position whose log time is not later than a moment. Log times never go back, so it is found by halving,
-- and no index has to be kept for it.
CREATE FUNCTION ledger_position_at(moment timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    known  bigint := 0;
    beyond bigint := 1;
    middle record;
BEGIN
    SELECT coalesce(max(notification_id), 0) + 1 INTO beyond FROM ledger_events;
    WHILE beyond - known > 1 LOOP
        SELECT e.notification_id, e.log_time INTO middle
        FROM ledger_events e WHERE e.notification_id <= (known + beyond) / 2
        ORDER BY e.notification_id DESC LIMIT 1;
        IF middle.log_time > moment THEN
            beyond := middle.notification_id;
        ELSE
            known := (known + beyond) / 2;
        END IF;
    END LOOP;
    RETURN known;
END
$$;
