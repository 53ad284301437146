-- How many accounts there are: one row, accounts.
select count(*) as accounts
from users
