package conf

import (
	"fmt"
	"strings"
)

// didYouMean is a half sentence that names the likeliest of the names known, or lists them all where none is near.
func didYouMean(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "known here are " + strings.Join(known, ", ")
}

// nearest is the known name with the fewest edits to word, "" where all are too far away.
func nearest(word string, known []string) string {
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "") }
	best, bestDistance := "", 3
	for _, k := range known {
		if d := distance(plain(word), plain(k)); d < bestDistance && d <= len(k)/2 {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance is the number of single-character insertions, deletions and replacements between a and b; more than 64
// characters are not looked at.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
