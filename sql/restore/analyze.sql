-- Let PostgreSQL look at the restored tables, so that its first plans are good.
analyze
