package store

// CopyColumns are the tables and columns that [Copy] copies.
func CopyColumns() map[string][]string {
	columns := map[string][]string{}
	for _, t := range copyTables() {
		columns[t.name] = t.columns
	}
	return columns
}

// CopyKeys are the columns that Copy orders by.
func CopyKeys() map[string][]string {
	keys := map[string][]string{}
	for _, t := range copyTables() {
		keys[t.name] = t.columns[:t.keys]
	}
	return keys
}
