package policy_test

import (
	"fmt"
	"testing"

	"postern/server/policy"
	"postern/storage"
)

var (
	verdicts = []storage.Verdict{storage.Unscored, storage.Clean, storage.Suspicious, storage.Quarantine, storage.Partial}
	bands    = []policy.Band{policy.BandQuarantine, policy.BandMark, policy.BandDeliver}
)

// TestPI3_DefaultBands is the table of INJECTION.md, section 6, for an inbox for
// which nothing is set.
func TestPI3_DefaultBands(t *testing.T) {
	inbox, away := storage.RoleInbox, storage.RoleQuarantine
	for _, c := range []struct {
		verdict storage.Verdict
		hard    bool
		want    policy.Placement
	}{
		{storage.Clean, false, policy.Placement{Mailbox: inbox}},
		{storage.Suspicious, false, policy.Placement{Mailbox: inbox, Rule: policy.InjectionSuspicious, Mark: true}},
		{storage.Quarantine, false, policy.Placement{Mailbox: away, Rule: policy.InjectionQuarantine, Mark: true}},
		{storage.Partial, false, policy.Placement{Mailbox: inbox, Rule: policy.InjectionPartial, Mark: true}},
		{storage.Unscored, false, policy.Placement{Mailbox: inbox, Rule: policy.InjectionPartial, Mark: true}},
		{storage.Suspicious, true, policy.Placement{Mailbox: away, Rule: policy.InjectionHard, Mark: true}},
		{storage.Quarantine, true, policy.Placement{Mailbox: away, Rule: policy.InjectionHard, Mark: true}},
	} {
		got := policy.Receive(policy.ReceiveFacts{Verdict: c.verdict, Hard: c.hard, Bands: policy.EffectiveBands(nil)})
		if got != c.want {
			t.Errorf("%v, hard %v: %+v, want %+v", c.verdict, c.hard, got, c.want)
		}
	}
}

// TestPI3_EveryPlacement goes through all combinations of facts and holds each
// placement to what is promised, one promise at a time.
func TestPI3_EveryPlacement(t *testing.T) {
	n := 0
	each(func(f policy.ReceiveFacts) {
		n++
		p := policy.Receive(f)
		for promise, kept := range promises(f, p) {
			if !kept {
				t.Errorf("%s: %+v became %+v (%v)", promise, f, p, p.Rule)
			}
		}
	})
	if want := 5 * 3 * 3 * 3 * 16; n != want {
		t.Errorf("%d combinations, want %d", n, want)
	}
}

func each(fn func(policy.ReceiveFacts)) {
	for _, v := range verdicts {
		for _, s := range bands {
			for _, q := range bands {
				for _, p := range bands {
					for bits := range 16 {
						fn(policy.ReceiveFacts{Verdict: v, Hard: bits&1 != 0, Refused: bits&2 != 0, Allowed: bits&4 != 0,
							Bands: policy.Bands{Suspicious: s, Quarantine: q, Partial: p, ReportOnly: bits&8 != 0}})
					}
				}
			}
		}
	}
}

func promises(f policy.ReceiveFacts, p policy.Placement) map[string]bool {
	band := map[storage.Verdict]policy.Band{storage.Clean: policy.BandDeliver, storage.Suspicious: f.Bands.Suspicious,
		storage.Quarantine: f.Bands.Quarantine, storage.Partial: f.Bands.Partial, storage.Unscored: f.Bands.Partial}[f.Verdict]
	scored := f.Verdict == storage.Suspicious || f.Verdict == storage.Quarantine
	return map[string]bool{
		"mail goes to the inbox or the quarantine":           p.Mailbox == storage.RoleInbox || p.PutAway(),
		"what DMARC refuses is put away, whatever is set":    !f.Refused || p.PutAway() && p.Rule == policy.DMARCFailed,
		"report-only puts nothing away by verdict":           !f.Bands.ReportOnly || f.Refused || !p.PutAway(),
		"a rule of form is never excepted":                   !f.Hard || f.Bands.ReportOnly || p.PutAway(),
		"a rule of form is marked":                           !f.Hard || p.Mark,
		"clean mail is delivered as it is":                   f.Verdict != storage.Clean || f.Hard || f.Refused || !p.PutAway() && !p.Mark && p.Rule == policy.None,
		"an exception is for scores alone":                   p.Rule != policy.InjectionAllowed || f.Allowed && scored && !f.Hard && band == policy.BandQuarantine,
		"an allowed sender is delivered, marked":             !f.Allowed || !scored || f.Hard || f.Refused || !p.PutAway() && p.Mark == (band != policy.BandDeliver),
		"what is spared is marked":                           !p.Spared() || !p.PutAway() && p.Mark,
		"a band is obeyed where nothing else speaks":         f.Hard || f.Refused || f.Allowed || f.Bands.ReportOnly || p.PutAway() == (band == policy.BandQuarantine),
		"whatever is not clean has a rule":                   f.Verdict == storage.Clean || p.Rule != policy.None,
		"no rule refuses, since that would tell an attacker": p.Rule == policy.DMARCFailed || policy.Refusal(p.Rule).Code == 250,
	}
}

// TestPI3_BandsInherit: an inbox has its own bands, and what stands above it can
// only ask for more.
func TestPI3_BandsInherit(t *testing.T) {
	of := func(values ...string) storage.Policy { return at(storage.LevelInbox, values...) }
	for _, c := range []struct {
		policies []storage.Policy
		want     policy.Bands
	}{
		{nil, policy.Bands{Suspicious: policy.BandMark, Partial: policy.BandMark}},
		{[]storage.Policy{of("injection-suspicious", "deliver", "injection-quarantine", "mark")},
			policy.Bands{Suspicious: policy.BandDeliver, Quarantine: policy.BandMark, Partial: policy.BandMark}},
		{[]storage.Policy{org("injection-suspicious", "quarantine"), of("injection-suspicious", "deliver")}, policy.Bands{Partial: policy.BandMark}},
		{[]storage.Policy{org("injection-quarantine", "mark")}, policy.Bands{Suspicious: policy.BandMark, Partial: policy.BandMark}},
		{[]storage.Policy{domain("injection-partial", "quarantine")}, policy.Bands{Suspicious: policy.BandMark}},
		{[]storage.Policy{of("injection-report-only", "yes")}, policy.Bands{Suspicious: policy.BandMark, Partial: policy.BandMark, ReportOnly: true}},
		{[]storage.Policy{org("injection-report-only", "yes")}, policy.Bands{Suspicious: policy.BandMark, Partial: policy.BandMark}},
		{[]storage.Policy{domain("injection-report-only", "no"), of("injection-report-only", "yes")}, policy.Bands{Suspicious: policy.BandMark, Partial: policy.BandMark}},
		{[]storage.Policy{of("injection-report-only", "what a newer version wrote", "injection-suspicious", "?")}, policy.Bands{Partial: policy.BandMark}}, // fail closed
	} {
		if got := policy.EffectiveBands(c.policies); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.policies, got, c.want)
		}
	}
}

// TestWeakenBands: to let in what was put away needs as many people as policy asks
// for, also by taking away what an organization insists on.
func TestWeakenBands(t *testing.T) {
	inbox, org := storage.LevelInbox, storage.LevelOrganization
	for _, c := range []struct {
		key           string
		level         storage.PolicyLevel
		before, after string
		want          bool
	}{
		{"injection-quarantine", inbox, "", "mark", true}, {"injection-quarantine", inbox, "mark", "", false},
		{"injection-suspicious", inbox, "", "deliver", true}, {"injection-suspicious", inbox, "", "quarantine", false},
		{"injection-suspicious", inbox, "quarantine", "", true}, {"injection-suspicious", org, "quarantine", "", true},
		{"injection-report-only", inbox, "", "yes", true}, {"injection-report-only", inbox, "yes", "", false},
		{"injection-report-only", inbox, "yes", "no", false}, {"injection-report-only", org, "no", "", true},
		{"injection-report-only", org, "", "no", false}, {"injection-report-only", org, "no", "yes", true},
	} {
		t.Run(fmt.Sprint(c.key, c.level, c.before, c.after), func(t *testing.T) {
			s, _ := policy.Lookup(c.key)
			if got := s.Weakens(c.level, c.before, c.after); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
