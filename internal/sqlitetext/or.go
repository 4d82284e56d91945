package sqlitetext

// Or joins conditions by OR. A tree of expressions may be only 1,000 deep.
func Or(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return "(" + Or(list[:len(list)/2]) + " OR " + Or(list[len(list)/2:]) + ")"
}
