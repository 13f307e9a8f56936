-- Roles of a real server, named after the database. Give them to users: GRANT ${database}_worker TO some_user.
-- The account that runs `rollcall migrate`, `catalogue apply`, `quarantine` and `rebuild` owns the database and needs
-- none. $active_users is the table in force: a rebuild that is accepted grants again.

-- The dedup job. It may add names, never read them.
CREATE ROLE IF NOT EXISTS ${database}_worker $on_cluster;
GRANT $on_cluster SELECT, INSERT ON `$database`.$active_users TO ${database}_worker;
GRANT $on_cluster SELECT ON `$database`.generations TO ${database}_worker;
GRANT $on_cluster INSERT ON `$database`.lost_offsets TO ${database}_worker;
GRANT $on_cluster INSERT ON `$database`.subject_names TO ${database}_worker;
GRANT $on_cluster SELECT ON `$database`.subject_erasures TO ${database}_worker;
GRANT $on_cluster INSERT ON `$database`.identity_links TO ${database}_worker;
GRANT $on_cluster SELECT ON `$database`.subject_keys TO ${database}_worker;
GRANT $on_cluster SELECT, INSERT ON `$database`.control_places TO ${database}_worker;
GRANT $on_cluster SELECT ON `$database`.catalogue_versions TO ${database}_worker;
GRANT $on_cluster SELECT ON `$database`.close_numbers TO ${database}_worker;
GRANT $on_cluster SELECT, INSERT ON `$database`.quarantine TO ${database}_worker;
GRANT $on_cluster SELECT, INSERT ON `$database`.quarantine_caps TO ${database}_worker;
GRANT $on_cluster SELECT, INSERT ON `$database`.ingest_progress TO ${database}_worker;
GRANT $on_cluster INSERT ON `$database`.source_reports TO ${database}_worker;
GRANT $on_cluster INSERT ON `$database`.source_activity TO ${database}_worker;
GRANT $on_cluster SELECT ON `$database`.schema_migrations TO ${database}_worker;

-- The month close. It changes no count and sees no name. A catalogue whose exclusions or free users name people needs
-- the names' role beside this one: GRANT ${database}_close, ${database}_names TO some_user.
CREATE ROLE IF NOT EXISTS ${database}_close $on_cluster;
GRANT $on_cluster SELECT ON `$database`.$active_users TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.generations TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.lost_offsets TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.subject_keys TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.subject_erasures TO ${database}_close;
GRANT $on_cluster SELECT, INSERT ON `$database`.control_places TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.catalogue_versions TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.catalogue_skus TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.quarantine TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.quarantine_caps TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.ingest_progress TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.source_reports TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.source_activity TO ${database}_close;
GRANT $on_cluster SELECT, INSERT ON `$database`.close_numbers TO ${database}_close;
GRANT $on_cluster SELECT, INSERT, ALTER DELETE ON `$database`.seal_subjects TO ${database}_close;
GRANT $on_cluster SELECT, INSERT ON `$database`.seals TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.alias_ledger TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.identity_links TO ${database}_close;
GRANT $on_cluster SELECT, INSERT ON `$database`.alias_members TO ${database}_close;
GRANT $on_cluster SELECT, INSERT ON `$database`.alias_versions TO ${database}_close;
GRANT $on_cluster SELECT, INSERT ON `$database`.reports TO ${database}_close;
GRANT $on_cluster SELECT, INSERT ON `$database`.report_ledger TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.report_states TO ${database}_close;
GRANT $on_cluster SELECT, INSERT ON `$database`.other_counts TO ${database}_close;
GRANT $on_cluster SELECT ON `$database`.schema_migrations TO ${database}_close;

-- Who may see whose pseudonym is whose. Every command that shows names first says so in the log of look-ups, to which
-- this role may add, and of which it may read nothing.
CREATE ROLE IF NOT EXISTS ${database}_names $on_cluster;
REVOKE $on_cluster SELECT ON `$database`.subject_names FROM ${database}_names;
GRANT $on_cluster SELECT ON `$database`.known_names TO ${database}_names;
GRANT $on_cluster INSERT ON `$database`.name_lookup_log TO ${database}_names;

-- Who may see who looked at names.
CREATE ROLE IF NOT EXISTS ${database}_auditors $on_cluster;
GRANT $on_cluster SELECT ON `$database`.name_lookups TO ${database}_auditors;

-- Dashboards. `migrate` grants it each view (infra/clickhouse/access.py), and no table.
CREATE ROLE IF NOT EXISTS ${database}_dashboards $on_cluster
