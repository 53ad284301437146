-- Let the statements of this transaction be planned for the values that they get: a plan for any value of a filter would
-- read whole tables. Ends with the transaction.
select set_config('plan_cache_mode', 'force_custom_plan', true)
