package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/server/policy"
	"postern/storage"
)

var inbox = uuid.MustParse("0198c0de-0000-7000-8000-000000000001")

const address = "support@example.com"

// sound is a submission that nothing is wrong with.
func sound() policy.SubmitFacts {
	return policy.SubmitFacts{
		SenderFacts: policy.SenderFacts{
			Credential: &storage.Credential{Scopes: []storage.Scope{{Inbox: inbox, Verbs: storage.Read | storage.Send}}},
			AgentState: storage.AgentActive, Inbox: inbox, Address: address, Env: storage.Live, Envelope: address,
		},
		Owned: true, Recipients: 2, Remote: 1, Size: 4096, FromFields: 1, From: []string{address},
	}
}

func TestSubmit(t *testing.T) {
	if d := policy.Submit(sound()); !d.Allow || d.Rule != policy.None || d.Err() != nil {
		t.Fatalf("a sound submission: %+v", d)
	}
	for _, c := range []struct {
		rule   policy.Rule
		change func(f *policy.SubmitFacts)
	}{
		{policy.AgentInactive, func(f *policy.SubmitFacts) { f.AgentState = storage.AgentSuspended }},
		{policy.ScopeSend, func(f *policy.SubmitFacts) { f.Credential = &storage.Credential{} }}, // AC-4, invariant 6
		{policy.ScopeSend, func(f *policy.SubmitFacts) {
			f.Credential = &storage.Credential{Scopes: []storage.Scope{{Inbox: inbox, Verbs: storage.Read}}}
		}},
		{policy.ScopeSend, func(f *policy.SubmitFacts) { f.Inbox = uuid.New() }},
		{policy.SenderNull, func(f *policy.SubmitFacts) { f.Envelope = "" }},
		{policy.SenderNotInbox, func(f *policy.SubmitFacts) { f.Envelope = "boss@example.com" }},
		{policy.TooManyRecipients, func(f *policy.SubmitFacts) { f.Recipients = policy.MaxRecipients + 1 }},
		{policy.NoRecipients, func(f *policy.SubmitFacts) { f.Recipients, f.Remote = 0, 0 }},
		{policy.DomainNotOwned, func(f *policy.SubmitFacts) { f.Owned = false }},
		{policy.TestEnvironment, func(f *policy.SubmitFacts) { f.Env = storage.Test }}, // AC-14
		{policy.OverSize, func(f *policy.SubmitFacts) { f.Size = policy.MaxSize + 1 }},
		{policy.HeaderTooLarge, func(f *policy.SubmitFacts) { f.HeaderFields = message.MaxFields + 1 }},
		{policy.HeaderSyntax, func(f *policy.SubmitFacts) { f.HeaderMalformed = true }},
		{policy.MailLoop, func(f *policy.SubmitFacts) { f.Hops = policy.MaxHops + 1 }}, // RFC 5321, section 6.3
		{policy.FromMissing, func(f *policy.SubmitFacts) { f.FromFields, f.From = 0, nil }},
		{policy.FromMissing, func(f *policy.SubmitFacts) { f.From = nil }},
		{policy.FromSeveral, func(f *policy.SubmitFacts) { f.FromFields = 2 }},
		{policy.FromNotInbox, func(f *policy.SubmitFacts) { f.From = []string{"boss@example.com"} }},
		{policy.FromNotInbox, func(f *policy.SubmitFacts) { f.From = []string{address, "boss@example.com"} }},
		{policy.SenderFieldNotInbox, func(f *policy.SubmitFacts) { f.SenderFields = 1 }},
		{policy.SenderFieldNotInbox, func(f *policy.SubmitFacts) { f.SenderFields, f.Sender = 1, []string{"boss@example.com"} }},
	} {
		f := sound()
		c.change(&f)
		d := policy.Submit(f)
		var refused *policy.RefusedError
		if d.Allow || d.Rule != c.rule || !errors.As(d.Err(), &refused) || refused.Rule != c.rule {
			t.Errorf("want %v, got %+v", c.rule, d)
		}
	}
}

// TestLocalMailNeedsNoOwnership: an unproved domain delivers inside, and so does a
// test login.
func TestLocalMailNeedsNoOwnership(t *testing.T) {
	f := sound()
	f.Remote, f.Owned, f.Env = 0, false, storage.Test
	if d := policy.Submit(f); !d.Allow {
		t.Errorf("local mail: %+v", d)
	}
}

func TestAdmit(t *testing.T) {
	for _, c := range []struct {
		facts policy.AdmitFacts
		rule  policy.Rule
	}{
		{policy.AdmitFacts{FromFields: 1}, policy.None},
		{policy.AdmitFacts{}, policy.None}, // no From is sloppy, not hostile
		{policy.AdmitFacts{FromFields: 2}, policy.FromSeveral},
		{policy.AdmitFacts{Hops: policy.MaxHops}, policy.None},
		{policy.AdmitFacts{Hops: policy.MaxHops + 1}, policy.MailLoop},
		{policy.AdmitFacts{HeaderBytes: message.MaxHeaderBytes, HeaderFields: message.MaxFields}, policy.None},
		{policy.AdmitFacts{HeaderBytes: message.MaxHeaderBytes + 1}, policy.HeaderTooLarge},
		{policy.AdmitFacts{HeaderFields: message.MaxFields + 1}, policy.HeaderTooLarge},
		{policy.AdmitFacts{Size: policy.MaxSize + 1}, policy.OverSize},
	} {
		if d := policy.Admit(c.facts); d.Rule != c.rule || d.Allow != (c.rule == policy.None) {
			t.Errorf("%+v: %+v", c.facts, d)
		}
	}
}

// TestRulesHaveTwoTexts: every rule has a word that may stand in the log in clear,
// a reply of the right form, and a public text that does not name the rule.
func TestRulesHaveTwoTexts(t *testing.T) {
	seen := map[string]bool{}
	for r := policy.None + 1; ; r++ {
		word := r.String()
		if strings.HasPrefix(word, "rule-") {
			break
		}
		e := policy.Refusal(r)
		if word == "" || seen[word] || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz-") != "" {
			t.Errorf("word %q of rule %d", word, r)
		}
		seen[word] = true
		class := fmt.Sprint(e.Code / 100)
		if held := strings.HasPrefix(word, "hold-") || strings.HasPrefix(word, "injection-"); held != (class == "2") || !held && class != "4" && class != "5" || !strings.HasPrefix(e.Enhanced, class+".") || e.Public == "" || strings.Contains(e.Public, word) {
			t.Errorf("%s: %d %s %q", word, e.Code, e.Enhanced, e.Public)
		}
		if e.Temporary() != (class == "4") {
			t.Errorf("%s: temporary %v", word, e.Temporary())
		}
	}
	if len(seen) < 15 {
		t.Errorf("%d rules", len(seen))
	}
}

func ExampleSubmit() {
	facts := policy.SubmitFacts{
		SenderFacts: policy.SenderFacts{
			Credential: &storage.Credential{Scopes: []storage.Scope{{Inbox: inbox, Verbs: storage.Read}}},
			AgentState: storage.AgentActive, Inbox: inbox, Address: address, Envelope: address,
		},
		Recipients: 1,
	}
	d := policy.Submit(facts)
	refused := policy.Refusal(d.Rule)
	fmt.Println(d.Rule)
	fmt.Println(refused.Code, refused.Enhanced, refused.Public)
	// Output:
	// scope-send
	// 550 5.7.1 this login may not send
}

// TestCO1_TLSRequired: what routes are, when one is covered, and that nobody below
// loosens what stands above.
func TestCO1_TLSRequired(t *testing.T) {
	s, _ := policy.Lookup("tls-required")
	for text, want := range map[string]string{
		"*": "*", "B.Example, *.a.example *": "*,*.a.example,b.example", "bücher.example": "xn--bcher-kva.example", "none": "none",
		"ada@a.example": "", "*@a.example": "", "[192.0.2.1]": "", "**": "", "*.*": "",
	} {
		if got, err := s.Parse(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, c := range []struct {
		before, after string
		weakens       bool
	}{{"", "*", false}, {"*", "", true}, {"a.example", "*", false}, {"*", "a.example", true}, {"*.a.example", "b.a.example", true}, {"b.a.example", "*.a.example", false}} {
		if got := s.Weakens(storage.LevelAgent, c.before, c.after); got != c.weakens {
			t.Errorf("%q to %q weakens: %v", c.before, c.after, got)
		}
	}
	org, agent := uuid.New(), uuid.New()
	rules := policy.Effective(policy.Subjects{Organization: org, Agent: agent}, []storage.Policy{
		{Level: storage.LevelOrganization, Target: org, Values: map[string]string{"tls-required": "a.example"}},
		{Level: storage.LevelAgent, Target: agent, Values: map[string]string{"tls-required": "*.b.example"}},
	})
	for domain, want := range map[string]bool{"a.example": true, "x.a.example": false, "x.b.example": true, "b.example": false} {
		if got := rules.TLS.Requires(domain); got != want {
			t.Errorf("%s: %v", domain, got)
		}
	}
	if !(policy.TLS{Required: []string{"*"}}).Requires("any.example") {
		t.Error("* is not everywhere")
	}
}
