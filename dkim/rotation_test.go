package dkim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/dkim"
)

var noon = time.Date(2026, 1, 3, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// stages reads "signing 200d, prepared 1h absent": each key with how long it is in its state, what was seen, and, of a
// published one, how long caches may hold what was there before.
func stages(t *testing.T, text string) (keys []dkim.Stage) {
	t.Helper()
	for one := range strings.SplitSeq(text, ", ") {
		words := strings.Fields(one)
		if len(words) == 0 {
			continue
		}
		k := dkim.Stage{State: dkim.State(words[0]), Since: noon.Add(-span(t, words[1]))}
		for _, w := range words[2:] {
			switch w {
			case "visible":
				k.Seen = dkim.Visible
			case "absent":
				k.Seen = dkim.Absent
			default:
				k.Stale = span(t, w)
			}
		}
		keys = append(keys, k)
	}
	return keys
}

func span(t *testing.T, s string) time.Duration {
	t.Helper()
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		if _, err := fmt.Sscan(days, &n); err != nil {
			t.Fatal(err)
		}
		return time.Duration(n) * day
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func write(m dkim.Move) string {
	if m.Step != dkim.StepWait {
		return fmt.Sprintf("%s %d", m.Step, m.Key)
	}
	if m.At.IsZero() {
		return strings.TrimSpace("wait " + string(m.Awaits))
	}
	return fmt.Sprintf("wait %s %s", m.Awaits, m.At.Sub(noon))
}

// TestCO3_Next is the whole life of a key as a table: which keys there are, and what happens next.
func TestCO3_Next(t *testing.T) {
	half := dkim.Terms{Every: 180 * day, Life: 5 * day}
	alone, full := half, half
	alone.Alone = true
	full.Free = noon.Add(3 * day)
	hand := dkim.Terms{Life: 5 * day}
	for _, c := range []struct {
		keys  string
		terms dkim.Terms
		want  string
	}{
		// A key signs for as long as policy says, and then there is another one.
		{"signing 1h", half, "wait age 4319h0m0s"},
		{"signing 180d", half, "prepare -1"},
		{"signing 180d", hand, "wait"},
		{"signing 180d", full, "wait selector 72h0m0s"},
		{"signing 181d, prepared 1s", half, "wait record 10s"},
		{"signing 181d, prepared 11m", half, "wait record 1m0s"},
		{"signing 181d, prepared 3h absent", half, "wait record 1h0m0s"},
		{"signing 400d, prepared 30d absent", half, "wait record 24h0m0s"},

		// It is seen, and caches forget what was there before.
		{"signing 181d, prepared 1s visible", half, "publish 1"},
		{"signing 181d, published 10m 1h visible", half, "wait caches 50m0s"},
		{"signing 181d, published 1h 1h visible", half, "sign 1"},
		{"signing 181d, published 1h 0s visible", hand, "sign 1"},

		// What is not seen does not sign.
		{"signing 181d, published 2h 1h absent", half, "withdraw 1"},
		{"signing 181d, published 10m 1h absent", half, "withdraw 1"},
		{"signing 181d, published 61m 1h", half, "wait record 1m0s"},
		{"signing 181d, published 10m 1h", half, "wait caches 50m0s"},

		// The old one stays for mail under way: 5 days and the margin.
		{"retiring 1d, signing 1d", half, "wait mail 144h0m0s"},
		{"retiring 7d, signing 7d", half, "retire 0"},
		{"retired 7d, signing 7d", half, "wait age 4152h0m0s"},
		{"retiring 7d, signing 181d, prepared 1s visible", half, "publish 2"},
		{"retiring 7d, signing 181d, prepared 1s", half, "retire 0"},
		{"retiring 6d, signing 179d", half, "wait mail 24h0m0s"},
		{"retiring 1d, signing 180d", half, "prepare -1"},
		{"retiring 6d, retiring 1d, signing 1d", hand, "wait mail 24h0m0s"},

		// A revoked one is replaced: at once where nothing else signs.
		{"revoked 1s, prepared 1s", half, "wait record 10s"},
		{"revoked 1s, prepared 1s", alone, "sign 1"},
		{"revoked 1s, published 1s 1h visible", alone, "sign 1"},
		{"revoked 1s, published 9s 1h visible, prepared 1s", alone, "sign 1"},
		{"revoked 7d, signing 7d", half, "retire 0"},
		{"revoked 0s", half, "wait mail 168h0m0s"},
		{"revoked 1s", alone, "prepare -1"},

		// A domain that signs with nothing does not wait.
		{"prepared 1s", alone, "sign 0"},
		{"", alone, "prepare -1"},
		{"", half, "wait"},
		{"retired 1d", half, "wait"},
		{"signing 1d", alone, "wait age 4296h0m0s"},
	} {
		if got := write(dkim.Next(noon, stages(t, c.keys), c.terms)); got != c.want {
			t.Errorf("%s: %s, want %s", c.keys, got, c.want)
		}
	}
}

// TestARotationGoesThroughEveryState carries steps out, an hour at a time, over two years: there is always a key that
// signs, and the record of each stays for as long as mail may be under way.
func TestARotationGoesThroughEveryState(t *testing.T) {
	terms := dkim.Terms{Every: 180 * day, Life: 5 * day}
	keys := []dkim.Stage{{State: dkim.Signing, Since: noon}}
	path := []dkim.State{dkim.Signing}
	for now := noon; now.Before(noon.Add(730 * day)); now = now.Add(time.Hour) {
		for range 10 {
			for i := range keys {
				keys[i].Seen = dkim.Visible
			}
			m := dkim.Next(now, keys, terms)
			if m.Step == dkim.StepWait {
				if !m.At.After(now) {
					t.Fatalf("at %s: wait until %s", now, m.At)
				}
				break
			}
			switch m.Step {
			case dkim.StepPrepare:
				keys = append(keys, dkim.Stage{State: dkim.Prepared, Since: now})
				path = append(path, dkim.Prepared)
			case dkim.StepPublish:
				keys[m.Key] = dkim.Stage{State: dkim.Published, Since: now, Stale: dkim.Settle}
				path = append(path, dkim.Published)
			case dkim.StepSign:
				keys[m.Key-1] = dkim.Stage{State: dkim.Retiring, Since: now}
				keys[m.Key] = dkim.Stage{State: dkim.Signing, Since: now}
				path = append(path, dkim.Signing)
			case dkim.StepRetire:
				if kept := now.Sub(keys[m.Key].Since); kept < 7*day || kept > 7*day+time.Hour {
					t.Errorf("a record was kept for %s", kept)
				}
				keys[m.Key].State = dkim.Retired
				path = append(path, dkim.Retired)
			}
		}
		signing := 0
		for _, k := range keys {
			if k.State == dkim.Signing {
				signing++
			}
		}
		if signing != 1 {
			t.Fatalf("at %s %d keys sign: %v", now, signing, keys)
		}
	}
	one := "prepared published signing retired"
	if got := fmt.Sprint(path); got != fmt.Sprintf("[signing %s %s %s %s]", one, one, one, one) {
		t.Error(got)
	}
}

func ExampleNext() {
	keys := []dkim.Stage{
		{State: dkim.Signing, Since: noon.Add(-181 * day)},
		{State: dkim.Published, Since: noon.Add(-10 * time.Minute), Stale: time.Hour, Seen: dkim.Visible},
	}
	terms := dkim.Terms{Every: 180 * day, Life: 5 * day}
	m := dkim.Next(noon, keys, terms)
	fmt.Println(m.Step, m.Awaits, m.At.Sub(noon))
	fmt.Println(dkim.Next(noon.Add(time.Hour), keys, terms).Step)
	// Output:
	// wait caches 50m0s
	// sign
}
