package policy_test

import (
	"testing"

	"postern/server/msgauth"
	"postern/server/policy"
)

// TestRFC7489_Judge: what is done about a message, by what its domain asks for and
// what our policy adds.
func TestRFC7489_Judge(t *testing.T) {
	const none, quarantine, reject = msgauth.PolicyNone, msgauth.PolicyQuarantine, msgauth.PolicyReject
	chain := func(dmarc msgauth.Value, sealers ...string) msgauth.ARC {
		return msgauth.ARC{Value: msgauth.Pass, DMARC: dmarc, Sealers: sealers}
	}
	strict := policy.Inbound{Reject: true, Trusted: []string{"list.example", "other.example"}}
	lax := policy.Inbound{Trusted: strict.Trusted}
	for _, test := range []struct {
		what   string
		in     policy.Inbound
		value  msgauth.Value
		asks   msgauth.Policy
		spared bool
		arc    msgauth.ARC
		want   policy.Treatment
	}{
		{"passes", strict, msgauth.Pass, reject, false, msgauth.ARC{}, policy.Treatment{}},
		{"nobody asks", strict, msgauth.None, none, false, msgauth.ARC{}, policy.Treatment{}},
		{"a broken record", strict, msgauth.PermError, none, false, msgauth.ARC{}, policy.Treatment{}},
		{"reject", strict, msgauth.Fail, reject, false, msgauth.ARC{}, policy.Treatment{Disposition: policy.Reject}},
		{"reject, and policy does not", lax, msgauth.Fail, reject, false, msgauth.ARC{}, policy.Treatment{Disposition: policy.Mark, Override: "local_policy"}},
		{"quarantine", strict, msgauth.Fail, quarantine, false, msgauth.ARC{}, policy.Treatment{Disposition: policy.Mark}},
		{"spared by pct", strict, msgauth.Fail, quarantine, true, msgauth.ARC{}, policy.Treatment{Disposition: policy.Mark, Override: "sampled_out"}},
		{"spared of quarantine", strict, msgauth.Fail, none, true, msgauth.ARC{}, policy.Treatment{Override: "sampled_out"}},
		{"watched only", strict, msgauth.Fail, none, false, msgauth.ARC{}, policy.Treatment{}},
		{"keys that cannot be had", strict, msgauth.TempError, reject, false, msgauth.ARC{}, policy.Treatment{Disposition: policy.Defer}},
		{"keys, and policy does not refuse", lax, msgauth.TempError, reject, false, msgauth.ARC{}, policy.Treatment{}},
		{"keys, of a mild domain", strict, msgauth.TempError, quarantine, false, msgauth.ARC{}, policy.Treatment{}},
		{"a record that cannot be had", strict, msgauth.TempError, none, false, msgauth.ARC{}, policy.Treatment{}},

		{"a trusted list", strict, msgauth.Fail, reject, false, chain(msgauth.Pass, "list.example"), policy.Treatment{Override: "trusted_forwarder"}},
		{"two of them", strict, msgauth.Fail, quarantine, false, chain(msgauth.Pass, "other.example", "list.example"), policy.Treatment{Override: "trusted_forwarder"}},
		{"a trusted list, keys that cannot be had", strict, msgauth.TempError, reject, false, chain(msgauth.Pass, "list.example"), policy.Treatment{}},
		{"it failed there too", strict, msgauth.Fail, reject, false, chain(msgauth.Fail, "list.example"), policy.Treatment{Disposition: policy.Reject}},
		{"it was not judged there", strict, msgauth.Fail, reject, false, chain(msgauth.None, "list.example"), policy.Treatment{Disposition: policy.Reject}},
		{"the first is a stranger", strict, msgauth.Fail, reject, false, chain(msgauth.Pass, "evil.example", "list.example"), policy.Treatment{Disposition: policy.Reject}},
		{"the last is a stranger", strict, msgauth.Fail, reject, false, chain(msgauth.Pass, "list.example", "evil.example"), policy.Treatment{Disposition: policy.Reject}},
		{"below a trusted name", strict, msgauth.Fail, reject, false, chain(msgauth.Pass, "evil.list.example"), policy.Treatment{Disposition: policy.Reject}},
		{"a broken chain", strict, msgauth.Fail, reject, false, msgauth.ARC{Value: msgauth.Fail, DMARC: msgauth.Pass, Sealers: []string{"list.example"}}, policy.Treatment{Disposition: policy.Reject}},
		{"a chain of nobody", strict, msgauth.Fail, reject, false, chain(msgauth.Pass), policy.Treatment{Disposition: policy.Reject}},
	} {
		r := msgauth.Results{DMARC: msgauth.DMARC{Value: test.value, Policy: test.asks, SampledOut: test.spared}, ARC: test.arc}
		if got := test.in.Judge(r); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.what, got, test.want)
		}
	}
}

// TestWeakens_TrustedSealers: whoever is put on the list may get mail in that was
// refused before.
func TestWeakens_TrustedSealers(t *testing.T) {
	s, _ := policy.Lookup("arc-trusted")
	for _, test := range []struct {
		before, after string
		want          bool
	}{
		{"", "list.example", true}, {"list.example", "list.example,other.example", true}, {"a.example", "b.example", true},
		{"list.example,other.example", "list.example", false}, {"list.example", "", false}, {"list.example", "none", false},
	} {
		if got := s.Weakens("organization", test.before, test.after); got != test.want {
			t.Errorf("from %q to %q: %v", test.before, test.after, got)
		}
	}
	several := msgauth.Results{DMARC: msgauth.DMARC{Value: msgauth.PermError, Several: true}}
	if got := (policy.Inbound{Reject: true}).Judge(several); got.Disposition != policy.Reject {
		t.Errorf("several authors: %+v", got)
	}
	if got := (policy.Inbound{}).Judge(several); got.Disposition != policy.Take {
		t.Errorf("several authors, and policy does not refuse: %+v", got)
	}
	for _, text := range []string{"a@list.example", "*.example.com", "list..example"} {
		if _, err := s.Parse(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
