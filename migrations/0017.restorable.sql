-- depends: 0016.staff_lists

-- pg_restore loads rows with an empty search_path, and computes the key of each address. A function in plpgsql finds others
-- by search_path: without its own, no backup with an address of an international domain could be restored.
alter function email_key_of_any(text) set search_path from current;
