"""Where the files of a store can lie: a local folder, or an object store that is named by its URL."""
