-- depends: 0014.email_reset

-- Where a session was opened, when it was used last, and which of its refresh tokens is the present one (security 18).
-- Old rows get the time of this migration. No index on last_used_at: a note of use changes no index.
alter table sessions add column opened_at timestamptz not null default now();
alter table sessions add column last_used_at timestamptz not null default now();
alter table sessions add column address inet;
alter table sessions add column device text not null default '';  -- User-Agent header
alter table sessions add column rotation integer not null default 0;  -- number of the present refresh token
alter table sessions add column rotated_at timestamptz;  -- when it became the present one; null: it is the first

-- Room in each page for the next version of its rows: an update then changes no index.
alter table sessions set (fillfactor = 80);
