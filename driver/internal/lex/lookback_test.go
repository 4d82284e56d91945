package lex

import "testing"

func TestLooksBack(t *testing.T) {
	for query, want := range map[string]bool{
		"INSERT INTO log VALUES (ROW_COUNT())":  true,
		"INSERT INTO log SELECT Found_Rows ( )": true,
		"UPDATE a_b SET c_d = row_count()":      true,
		"row_count":                             true,
		"_":                                     false,
		"":                                      false,
		"ow_count":                              false,
		"INSERT INTO log VALUES (row_coun)":     false,
		"INSERT INTO rows_found (count_row) VALUES": false,
	} {
		if got := LooksBack(query); got != want {
			t.Errorf("%s: %t", query, got)
		}
	}
}
