-- Whether two texts are one address in two spellings.
-- $1 email, $2 email
select email_key($1::text) = email_key($2::text) as is_same
