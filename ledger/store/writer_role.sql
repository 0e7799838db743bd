-- What a role needs to run a ledger without being able to change its history: it inserts and selects, and no more.
-- Run by the owner of the tables, once the first connection has made them:
--
--     psql "$URL" -v schema=public -v role=ledger_writer -f writer_role.sql
--
-- Only the inline tables and snapshots, which are rebuilt from the history, may be updated and deleted.

GRANT USAGE ON SCHEMA :"schema" TO :"role";
GRANT SELECT, INSERT ON :"schema".ledger_events, :"schema".ledger_receipts TO :"role";
GRANT SELECT ON :"schema".ledger_meta, :"schema".ledger_events_readable TO :"role";
GRANT SELECT, INSERT, UPDATE, DELETE
    ON :"schema".ledger_charge_index, :"schema".ledger_reservations, :"schema".ledger_snapshots TO :"role";
REVOKE UPDATE, DELETE, TRUNCATE ON :"schema".ledger_events, :"schema".ledger_receipts FROM :"role";
