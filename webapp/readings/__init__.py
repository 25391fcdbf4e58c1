"""Reader studies: blinded protocols, readers, answers, truth and the report."""
