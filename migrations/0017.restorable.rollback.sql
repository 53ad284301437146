alter function email_key_of_any(text) reset search_path;
