"""Records and analysis results to what a person sees: tables, figures, the contents of files."""
