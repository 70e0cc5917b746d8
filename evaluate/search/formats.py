"""The output formats of `featx search`: a module without imports, for the help page and the shell."""

FORMAT_NAMES = ("table", "markdown", "latex", "csv", "json", "html", "srt", "edl")
FOR_PROGRAMS = ("csv", "json", "srt", "edl")  # they have no place for notes
