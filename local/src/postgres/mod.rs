//! Real PostgreSQL servers as processes: their files, accounts, backups and restores. It knows nothing of the RDS API.
