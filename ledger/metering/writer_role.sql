-- What a role needs to keep usage without being able to change what is kept: it inserts and selects, and no more.
-- Run by the owner of the tables, once the first connection has made them, beside the store's own writer_role.sql:
--
--     psql "$URL" -v schema=public -v role=ledger_writer -f writer_role.sql
--
-- Only marks are updated: how far each meter is closed, and how far it was looked through for late usage; both only rise.

GRANT SELECT, INSERT ON :"schema".usage_event, :"schema".usage_conflict, :"schema".usage_chunk TO :"role";
GRANT SELECT, INSERT, UPDATE ON :"schema".usage_mark, :"schema".usage_seen TO :"role";
GRANT USAGE ON SEQUENCE :"schema".usage_position TO :"role";
REVOKE UPDATE, DELETE, TRUNCATE ON :"schema".usage_event, :"schema".usage_conflict, :"schema".usage_chunk FROM :"role";
