package storage

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
)

// searchedEvents is how large a log BenchmarkSearch searches: a million events, or
// what POSTERN_BENCH_EVENTS says.
func searchedEvents() int {
	if n, err := strconv.Atoi(os.Getenv("POSTERN_BENCH_EVENTS")); err == nil {
		return n
	}
	return 1_000_000
}

// BenchmarkSearch reports the time of the first page of 50 events, newest first, of
// each single filter and of its negation, in a log of a million events: of filters
// that match much, little, nothing and everything.
func BenchmarkSearch(b *testing.B) {
	l := newWrittenLog(b, 200)
	l.grow(b, searchedEvents())
	if _, err := l.Columns(b.Context(), 0); err != nil {
		b.Fatal(err)
	}
	all := l.conditions()
	run := func(name string, q Search) {
		b.Run(name, func(b *testing.B) {
			found := 0
			for b.Loop() {
				f, err := l.Search(b.Context(), q)
				if err != nil {
					b.Fatal(err)
				}
				found = len(f.Events)
			}
			b.ReportMetric(float64(found), "events")
		})
	}
	run("everything", Search{Org: l.org.ID, Newest: true, Limit: 50})
	run("everything oldest", Search{Org: l.org.ID, Limit: 50})
	run("nothing since", Search{Org: l.org.ID, Newest: true, Limit: 50, Since: l.clock.now().AddDate(1, 0, 0)})
	run("long ago until", Search{Org: l.org.ID, Newest: true, Limit: 50, Until: l.clock.now().AddDate(0, 0, -1)})
	for _, name := range slices.Sorted(maps.Keys(all)) {
		run(name, Search{Org: l.org.ID, Newest: true, Limit: 50, Conditions: []Condition{all[name]}})
	}
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.Count(b.Context(), Search{Org: l.org.ID}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
