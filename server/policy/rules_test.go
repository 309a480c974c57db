package policy_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/server/policy"
	"postern/storage"
)

// The subjects of a message, one at each level.
var subjects = policy.Subjects{
	Organization: uuid.MustParse("0198c0de-0000-7000-8000-00000000000a"), Domain: uuid.MustParse("0198c0de-0000-7000-8000-00000000000b"),
	Agent: uuid.MustParse("0198c0de-0000-7000-8000-00000000000c"), Credential: uuid.MustParse("0198c0de-0000-7000-8000-00000000000d"),
	Inbox: inbox,
}

// at is a policy of one level: key, value, key, value.
func at(level storage.PolicyLevel, values ...string) storage.Policy {
	p := storage.Policy{Level: level, Values: map[string]string{}}
	p.Target = map[storage.PolicyLevel]uuid.UUID{
		storage.LevelOrganization: subjects.Organization, storage.LevelDomain: subjects.Domain, storage.LevelAgent: subjects.Agent,
		storage.LevelCredential: subjects.Credential, storage.LevelInbox: subjects.Inbox,
	}[level]
	for i := 0; i < len(values); i += 2 {
		p.Values[values[i]] = values[i+1]
	}
	return p
}

func org(values ...string) storage.Policy    { return at(storage.LevelOrganization, values...) }
func domain(values ...string) storage.Policy { return at(storage.LevelDomain, values...) }
func agent(values ...string) storage.Policy  { return at(storage.LevelAgent, values...) }

// fresh is the usage of every subject, none of which sent anything.
func fresh() []storage.Usage {
	var all []storage.Usage
	for _, id := range subjects.IDs() {
		all = append(all, storage.Usage{Subject: id})
	}
	return all
}

// TestAV1_Inheritance: every level's limits and recipient rules hold beside the
// others', of everything else the tightest wins, whichever level it is at, and a
// default stands where its own level says nothing.
func TestAV1_Inheritance(t *testing.T) {
	d := policy.Effective(subjects, nil)
	if want := (policy.Credentials{MaxAge: 90 * 24 * time.Hour, Warn: 14 * 24 * time.Hour, SessionLength: 24 * time.Hour, Sessions: 50}); d.Credentials != want {
		t.Errorf("%+v", d.Credentials)
	}
	if want := (policy.Holds{Taint: time.Hour, Expiry: 72 * time.Hour, Persons: 1}); d.Holds != want {
		t.Errorf("%+v", d.Holds)
	}
	low := []policy.Level{{Level: storage.LevelAgent, Subject: subjects.Agent, Limits: []policy.Limit{
		{Key: policy.KeyMessagesPerHour, Max: 60}, {Key: policy.KeyMessagesPerDay, Max: 500}, {Key: policy.KeyFirstTimePerDay, Max: 50}}}}
	if !reflect.DeepEqual(d.Levels, low) {
		t.Errorf("%+v", d.Levels)
	}
	for _, c := range []struct {
		policies []storage.Policy
		got      func(policy.Rules) any
		want     any
	}{
		{[]storage.Policy{org("sessions", "10"), agent("sessions", "20")}, sessions, 10},
		{[]storage.Policy{org("sessions", "20"), agent("sessions", "10")}, sessions, 10},
		{[]storage.Policy{agent("sessions", "60")}, sessions, 50},
		{[]storage.Policy{org("sessions", "60")}, sessions, 60},
		{[]storage.Policy{agent("credential-age", "365d")}, maxAge, 90 * 24 * time.Hour},
		{[]storage.Policy{org("credential-age", "180d"), domain("credential-age", "120d")}, maxAge, 120 * 24 * time.Hour},
		{[]storage.Policy{org("hold-taint", "0")}, taint, time.Duration(0)},
		{[]storage.Policy{org("hold-taint", "0"), agent("hold-taint", "5m")}, taint, 5 * time.Minute},
		{[]storage.Policy{agent("hold-taint", "5m")}, taint, time.Hour},
		{[]storage.Policy{org("hold-persons", "2"), agent("hold-persons", "1")}, func(r policy.Rules) any { return r.Holds.Persons }, 2},
		{[]storage.Policy{org("hold-always", "yes"), agent("hold-always", "no")}, func(r policy.Rules) any { return r.Holds.Always }, true},
		{[]storage.Policy{org("hold-recipients", "9"), agent("hold-recipients", "3")}, func(r policy.Rules) any { return r.Holds.Recipients }, int64(3)},
		{[]storage.Policy{org("provenance-trigger", "refuse"), agent("provenance-trigger", "warn")}, func(r policy.Rules) any { return r.Provenance.Trigger }, policy.Refuse},
		{[]storage.Policy{org("alert-freeze", "token-leaked"), agent("alert-freeze", "odd-hours,token-leaked")},
			func(r policy.Rules) any { return r.Alerts.Freeze }, []string{"odd-hours", "token-leaked"}},
		{[]storage.Policy{agent("sessions", "what a newer version wrote")}, sessions, 1}, // fail closed
		{[]storage.Policy{agent("hold-taint", "?")}, taint, 24 * time.Hour},
		{[]storage.Policy{agent("provenance-trigger", "?")}, func(r policy.Rules) any { return r.Provenance.Trigger }, policy.Refuse},
		{[]storage.Policy{agent("hold-always", "?")}, func(r policy.Rules) any { return r.Holds.Always }, true},
	} {
		if got := c.got(policy.Effective(subjects, c.policies)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %v, want %v", c.policies, got, c.want)
		}
	}
}

func sessions(r policy.Rules) any { return r.Credentials.Sessions }
func maxAge(r policy.Rules) any   { return r.Credentials.MaxAge }
func taint(r policy.Rules) any    { return r.Holds.Taint }

// TestAV1_AllLevelsAsk: a level's limit refuses whatever the others allow.
func TestAV1_AllLevelsAsk(t *testing.T) {
	for _, level := range []storage.PolicyLevel{storage.LevelOrganization, storage.LevelDomain, storage.LevelAgent, storage.LevelCredential, storage.LevelInbox} {
		for key, rule := range map[string]policy.Rule{
			"messages-per-minute": policy.LimitMessages, "messages-per-hour": policy.LimitMessages, "messages-per-day": policy.LimitMessages,
			"recipients-per-minute": policy.LimitRecipients, "recipients-per-hour": policy.LimitRecipients, "recipients-per-day": policy.LimitRecipients,
			"first-time-per-day": policy.LimitFirstTime,
		} {
			f := ruled(at(level, key, "0"))
			d := policy.Submit(f)
			if d.Allow || d.Rule != rule || d.Level != level || d.Retry != 0 {
				t.Errorf("%s at %s: %+v", key, level, d)
			}
			f.Usage = nil // what is not known is not room
			if d := policy.Submit(f); d.Allow {
				t.Errorf("%s at %s without the usage: %+v", key, level, d)
			}
		}
		f := ruled(at(level, "message-size", "2KiB"))
		if d := policy.Submit(f); d.Rule != policy.LimitSize || d.Level != level || d.Refusal().Code != 552 {
			t.Errorf("size at %s: %+v", level, d)
		}
	}
}

// ruled is a sound submission under policies.
func ruled(policies ...storage.Policy) policy.SubmitFacts {
	f := sound()
	f.Agent, f.Usage, f.Rules = subjects.Agent, fresh(), policy.Effective(subjects, policies)
	f.To = []policy.Addressee{{Address: "ann@beta.test"}, {Address: "bob@example.com", Inside: true}}
	return f
}

// TestPI6_HoldRules: each rule holds what it is for, alone and with others, and
// lets through what it is not for; whatever refuses comes before.
func TestPI6_HoldRules(t *testing.T) {
	known := policy.Addressee{Address: "ann@beta.test", Known: true, DomainKnown: true, Exchanged: true}
	for _, c := range []struct {
		name   string
		policy storage.Policy
		change func(f *policy.SubmitFacts)
		want   []policy.Rule
	}{
		{"nothing", org(), func(f *policy.SubmitFacts) { f.Attachments, f.Forwards = 3, true }, nil},
		{"always", org("hold-always", "yes"), nil, []policy.Rule{policy.HoldAlways}},
		{"a stranger", agent("hold-first-time", "yes"), nil, []policy.Rule{policy.HoldFirstTime}},
		{"no stranger", agent("hold-first-time", "yes"), func(f *policy.SubmitFacts) { f.To, f.Recipients = []policy.Addressee{known}, 1 }, nil},
		{"a new domain", agent("hold-new-domain", "yes"), nil, []policy.Rule{policy.HoldNewDomain}},
		{"a new domain inside", agent("hold-new-domain", "yes"), func(f *policy.SubmitFacts) { f.To[0].DomainKnown = true }, nil},
		{"an attachment", agent("hold-attachment", "yes"), func(f *policy.SubmitFacts) { f.Attachments = 1 }, []policy.Rule{policy.HoldAttachment}},
		{"no attachment", agent("hold-attachment", "yes"), nil, nil},
		{"many", agent("hold-recipients", "1"), nil, []policy.Rule{policy.HoldRecipients}},
		{"not many", agent("hold-recipients", "2"), nil, nil},
		{"a forward", agent("hold-forward", "yes"), func(f *policy.SubmitFacts) { f.Forwards = true }, []policy.Rule{policy.HoldForward}},
		{"a rate that is not known", agent("hold-rate", "100"), func(f *policy.SubmitFacts) { f.Agent = uuid.Nil }, []policy.Rule{policy.HoldRate}},
		{"below the rate", agent("hold-rate", "1"), nil, nil},
		{"tainted", org(), func(f *policy.SubmitFacts) { f.Tainted = true }, []policy.Rule{policy.HoldTaint}},
		{"tainted, to one of two that are excepted", org(), func(f *policy.SubmitFacts) { f.Tainted, f.To[0] = true, known }, []policy.Rule{policy.HoldTaint}},
		{"tainted, to who is excepted", org(), func(f *policy.SubmitFacts) { f.Tainted, f.To, f.Recipients = true, []policy.Addressee{known}, 1 }, nil},
		{"tainted, and one is not known of", org(), func(f *policy.SubmitFacts) { f.Tainted, f.To = true, []policy.Addressee{known} }, []policy.Rule{policy.HoldTaint}},
		{"several", org("hold-always", "yes", "hold-recipients", "1"), func(f *policy.SubmitFacts) { f.Tainted = true },
			[]policy.Rule{policy.HoldAlways, policy.HoldTaint, policy.HoldRecipients}},
	} {
		f := ruled(c.policy)
		if c.change != nil {
			c.change(&f)
		}
		d := policy.Submit(f)
		if !d.Allow || d.Rule != policy.None || !slices.Equal(d.Hold, c.want) {
			t.Errorf("%s: %+v, want %v", c.name, d, c.want)
		}
		f.Envelope = "boss@example.com"
		if d := policy.Submit(f); d.Allow || d.Hold != nil {
			t.Errorf("%s, and in another's name: %+v", c.name, d)
		}
	}
}

// TestAU4_Provenance: a declaration that is missing is let through, noted or refused.
func TestAU4_Provenance(t *testing.T) {
	for value, want := range map[string]struct {
		rule policy.Rule
		warn []policy.Rule
	}{
		"allow": {policy.None, nil}, "warn": {policy.None, []policy.Rule{policy.TriggerMissing, policy.ContentMissing}}, "refuse": {policy.TriggerMissing, nil},
	} {
		f := ruled(org("provenance-trigger", value, "provenance-content", value))
		if d := policy.Submit(f); d.Rule != want.rule || !slices.Equal(d.Warn, want.warn) {
			t.Errorf("%s: %+v", value, d)
		}
		f.DeclaresTrigger = true
		if d := policy.Submit(f); value == "refuse" && d.Rule != policy.ContentMissing {
			t.Errorf("%+v", d)
		}
		f.DeclaresContent = true
		if d := policy.Submit(f); !d.Allow || d.Warn != nil {
			t.Errorf("%s, declared: %+v", value, d)
		}
	}
}

// TestRecipientRulesOfAllLevels: deny wins, every allow list has to have the
// recipient, one that is empty is nobody, and who is not known of is refused.
func TestRecipientRulesOfAllLevels(t *testing.T) {
	ann := policy.Addressee{Address: "ann@beta.test", Wrote: true}
	for _, c := range []struct {
		name     string
		policies []storage.Policy
		to       policy.Addressee
		want     policy.Rule
	}{
		{"no rule", nil, ann, policy.None},
		{"both allow", []storage.Policy{org("recipients-allow", "beta.test"), agent("recipients-allow", "ann@beta.test")}, ann, policy.None},
		{"one allows", []storage.Policy{org("recipients-allow", "beta.test"), agent("recipients-allow", "gamma.test")}, ann, policy.RecipientNotAllowed},
		{"deny above", []storage.Policy{org("recipients-deny", "beta.test"), agent("recipients-allow", "ann@beta.test")}, ann, policy.RecipientDenied},
		{"deny below", []storage.Policy{org("recipients-allow", "beta.test"), agent("recipients-deny", "ann@beta.test")}, ann, policy.RecipientDenied},
		{"empty", []storage.Policy{agent("recipients-allow", "none")}, ann, policy.RecipientNotAllowed}, // invariant 6
		{"empty deny", []storage.Policy{agent("recipients-deny", "none")}, ann, policy.None},
		{"inside only", []storage.Policy{agent("inside-only", "yes")}, ann, policy.RecipientOutside},
		{"inside", []storage.Policy{agent("inside-only", "yes")}, policy.Addressee{Address: "b@example.com", Inside: true}, policy.None},
		{"wrote", []storage.Policy{agent("replies-only", "yes")}, ann, policy.None},
		{"never wrote", []storage.Policy{agent("replies-only", "yes")}, policy.Addressee{Address: "ann@beta.test", Known: true}, policy.RecipientNoReply},
		{"the domain is not those below", []storage.Policy{agent("recipients-allow", "*.test")}, policy.Addressee{Address: "a@test"}, policy.RecipientNotAllowed},
		{"nor the other way round", []storage.Policy{agent("recipients-allow", "test")}, ann, policy.RecipientNotAllowed},
		{"no domain that only ends like it", []storage.Policy{agent("recipients-deny", "*.eta.test")}, ann, policy.None},
		{"the bare postmaster", []storage.Policy{agent("recipients-allow", "none")}, policy.Addressee{Address: "postmaster", Inside: true}, policy.RecipientNotAllowed},
	} {
		f := ruled(c.policies...)
		f.To, f.Recipients = []policy.Addressee{c.to}, 1
		if d := policy.Submit(f); d.Rule != c.want {
			t.Errorf("%s: %+v, want %v", c.name, d, c.want)
		}
		early := policy.RecipientFacts{Owned: true, Count: 1, Rules: f.Rules, Usage: f.Usage, To: c.to}
		if d := policy.Recipient(early); d.Rule != c.want {
			t.Errorf("%s in RCPT: %+v, want %v", c.name, d, c.want)
		}
		f.Recipients = 2 // one is not spoken of
		if d := policy.Submit(f); d.Allow != (len(c.policies) == 0 || c.name == "empty deny") {
			t.Errorf("%s, and one more: %+v", c.name, d)
		}
	}
}

// TestSettings: every key has a help text, a default that is canonical, and at
// least one level.
func TestSettings(t *testing.T) {
	for _, s := range policy.Settings() {
		if s.Help == "" || len(s.Levels) == 0 || strings.Trim(string(s.Key), "abcdefghijklmnopqrstuvwxyz-") != "" {
			t.Errorf("%+v", s)
		}
		if s.Default == "" {
			continue
		}
		if got, err := s.Parse(s.Default); err != nil || got != s.Default || !s.At(s.DefaultLevel) {
			t.Errorf("%s: default %q at %q: %q, %v", s.Key, s.Default, s.DefaultLevel, got, err)
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ key, text, want string }{
		{"messages-per-hour", "060", "60"}, {"messages-per-hour", "0", "0"}, {"messages-per-hour", "-1", ""}, {"messages-per-hour", "1e3", ""}, {"messages-per-hour", "", ""},
		{"messages-per-hour", "99999999999999999999", ""}, {"sessions", "0", ""}, {"hold-persons", "3", ""}, {"hold-recipients", "101", ""},
		{"credential-age", "90d", "90d"}, {"credential-age", "2160h", "90d"}, {"credential-age", "1d12h", "36h"}, {"credential-age", "90", ""}, {"credential-age", "1ns", ""},
		{"credential-age", "d", ""}, {"credential-age", "99999999999999999d", ""}, {"hold-taint", "0", "0"}, {"hold-taint", "90m", "90m"}, {"hold-taint", "25h", ""}, {"hold-taint", "90s", "90s"},
		{"dkim-rotate", "180d", "180d"}, {"dkim-rotate", "Off", "off"}, {"dkim-rotate", "6d", ""}, {"dkim-rotate", "0", ""}, {"credential-age", "off", ""},
		{"message-size", "10M", "10MiB"}, {"message-size", "10240", "10KiB"}, {"message-size", "1025", "1025"}, {"message-size", "1GiB", ""}, {"message-size", "51MiB", ""},
		{"hold-always", "ON", "yes"}, {"hold-always", "false", "no"}, {"hold-always", "maybe", ""},
		{"provenance-trigger", "Refuse", "refuse"}, {"provenance-trigger", "never", ""},
		{"recipients-allow", "", "none"}, {"recipients-allow", "none", "none"}, {"recipients-allow", " B.test,a.test\nA.test ", "a.test,b.test"},
		{"recipients-allow", "Ann@BETA.test", "ann@beta.test"}, {"recipients-allow", "bücher.example", "xn--bcher-kva.example"},
		{"recipients-allow", "*.Beta.test", "*.beta.test"}, {"recipients-allow", "*", ""}, {"recipients-allow", "*.*.test", ""}, {"recipients-allow", "a*.test", ""},
		{"recipients-allow", `"a b"@beta.test`, ""}, {"recipients-allow", "ann@", ""}, {"recipients-allow", "@beta.test", ""}, {"recipients-allow", "[192.0.2.1]", ""},
		{"recipients-allow", "192.0.2.1", ""}, {"recipients-allow", "beta.test.", ""}, {"recipients-allow", "a@b@c.test", ""},
		{"recipients-deny", strings.Repeat("a.test,", 501), ""}, {"recipients-deny", strings.Repeat("x", 17<<10), ""},
		{"alert-mail", "beta.test", ""}, {"alert-mail", "ann@beta.test", "ann@beta.test"},
		{"alert-freeze", "odd-hours, token-leaked odd-hours", "odd-hours,token-leaked"}, {"alert-freeze", "rain", ""},
	} {
		s, ok := policy.Lookup(c.key)
		if !ok {
			t.Fatal(c.key)
		}
		got, err := s.Parse(c.text)
		var bad *policy.ValueError
		if got != c.want || (err != nil) != (c.want == "") || err != nil && !errors.As(err, &bad) {
			t.Errorf("%s %q: %q, %v, want %q", c.key, c.text, got, err, c.want)
		}
	}
	if _, ok := policy.Lookup("rain"); ok {
		t.Error("rain is a setting")
	}
}

// FuzzParse: what is canonical stays what it is.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"60", "1d12h", "10MiB", "yes", "refuse", "a.test,*.b.test,ann@c.test", "none", "odd-hours", "bücher.example", `"a,b"@c.test`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range policy.Settings() {
			got, err := s.Parse(text)
			if err != nil {
				continue
			}
			if again, err := s.Parse(got); err != nil || again != got || got == "" {
				t.Errorf("%s: %q is %q is %q, %v", s.Key, text, got, again, err)
			}
			if s.Weakens(s.Levels[0], got, got) {
				t.Errorf("%s: %q weakens itself", s.Key, got)
			}
		}
	})
}

func TestWeakens(t *testing.T) {
	agent, org := storage.LevelAgent, storage.LevelOrganization
	for _, c := range []struct {
		key           string
		level         storage.PolicyLevel
		before, after string
		want          bool
	}{
		{"messages-per-hour", org, "", "5", false}, {"messages-per-hour", org, "5", "6", true}, {"messages-per-hour", org, "5", "4", false}, {"messages-per-hour", org, "5", "", true},
		{"messages-per-hour", agent, "", "61", true}, {"messages-per-hour", agent, "", "59", false}, {"messages-per-hour", agent, "100", "", false}, {"messages-per-hour", agent, "50", "", true},
		{"message-size", org, "1MiB", "1025KiB", true}, {"message-size", org, "1MiB", "1023KiB", false},
		{"hold-taint", org, "", "30m", true}, {"hold-taint", org, "", "2h", false}, {"hold-taint", org, "2h", "0", true}, {"hold-taint", agent, "", "5m", false}, {"hold-taint", agent, "5m", "", true},
		{"hold-persons", org, "", "2", false}, {"hold-persons", org, "2", "1", true}, {"hold-persons", org, "2", "", true}, {"hold-expiry", org, "", "4d", true}, {"hold-expiry", org, "", "2d", false},
		{"hold-always", org, "", "yes", false}, {"hold-always", org, "yes", "no", true}, {"hold-always", org, "yes", "", true}, {"hold-always", org, "no", "", false},
		{"provenance-content", org, "", "warn", false}, {"provenance-content", org, "warn", "allow", true}, {"provenance-content", org, "refuse", "", true},
		{"recipients-allow", agent, "", "a.test", false}, {"recipients-allow", agent, "a.test", "", true}, {"recipients-allow", agent, "a.test,b.test", "a.test", false},
		{"recipients-allow", agent, "a.test", "a.test,b.test", true}, {"recipients-allow", agent, "a.test", "ann@a.test", false}, {"recipients-allow", agent, "ann@a.test", "a.test", true},
		{"recipients-allow", agent, "*.a.test", "*.b.a.test,x.a.test", false}, {"recipients-allow", agent, "a.test", "*.a.test", true}, {"recipients-allow", agent, "a.test", "none", false}, {"recipients-allow", agent, "none", "a.test", true},
		{"recipients-deny", agent, "", "a.test", false}, {"recipients-deny", agent, "a.test", "a.test,b.test", false}, {"recipients-deny", agent, "a.test,b.test", "a.test", true}, {"recipients-deny", agent, "ann@a.test", "a.test", false},
		{"alert-freeze", org, "odd-hours", "none", true}, {"alert-freeze", org, "odd-hours", "odd-hours,token-leaked", false}, {"alert-mail", org, "a@b.test", "c@b.test", true},
		{"sessions", org, "", "51", true}, {"sessions", org, "", "49", false}, {"credential-age", agent, "", "1d", false}, {"credential-warn", org, "", "7d", true},
		{"dkim-rotate", org, "90d", "off", true}, {"dkim-rotate", org, "off", "90d", false}, {"dkim-rotate", org, "90d", "180d", true}, {"dkim-rotate", org, "", "off", false},
	} {
		s, _ := policy.Lookup(c.key)
		if got := s.Weakens(c.level, c.before, c.after); got != c.want {
			t.Errorf("%s at %s from %q to %q: %v", c.key, c.level, c.before, c.after, got)
		}
	}
}

func TestExplain(t *testing.T) {
	got := policy.Explain([]storage.Policy{org("messages-per-hour", "1000", "sessions", "20", "recipients-deny", "a.test"), agent("sessions", "30", "recipients-deny", "b.test")})
	var lines []string
	for _, v := range got {
		if s := string(v.Key); s == "messages-per-hour" || s == "sessions" || s == "recipients-deny" {
			lines = append(lines, fmt.Sprint(v.Key, " ", v.Value, " ", v.Level, " ", v.From == uuid.Nil))
		}
	}
	want := []string{"messages-per-hour 60 agent true", "messages-per-hour 1000 organization false", "sessions 20 organization false",
		"recipients-deny a.test organization false", "recipients-deny b.test agent false"}
	if !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
}

// A limit of the organization holds beside the agent's own, and the reply says
// when to come back, not which limit it was.
func ExampleSubmit_limits() {
	f := sound()
	f.Rules = policy.Effective(subjects, []storage.Policy{org("recipients-per-day", "1"), agent("messages-per-hour", "100")})
	f.Usage = fresh()
	d := policy.Submit(f)
	refused := d.Refusal()
	fmt.Println(d.Rule, "at", d.Level)
	fmt.Println(refused.Code, refused.Enhanced, refused.Public)
	// Output:
	// limit-recipients at organization
	// 452 4.5.3 too many recipients
}

// What is allowed may still wait for a person, by one rule or several.
func ExampleSubmit_holds() {
	f := ruled(org("hold-first-time", "yes"), agent("hold-attachment", "yes"))
	f.Attachments = 1
	d := policy.Submit(f)
	fmt.Println(d.Allow, d.Hold)
	// Output:
	// true [hold-first-time hold-attachment]
}

// The tightest of what is set counts, and a default where nothing is.
func ExampleEffective() {
	r := policy.Effective(subjects, []storage.Policy{org("sessions", "20", "hold-persons", "2"), agent("sessions", "100", "hold-persons", "1")})
	fmt.Println(r.Credentials.Sessions, r.Holds.Persons, r.Holds.Expiry)
	// Output:
	// 20 2 72h0m0s
}
