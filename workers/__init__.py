"""Where records and mathematics meet: processes that claim jobs and do them."""
