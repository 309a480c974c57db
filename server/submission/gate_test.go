package submission_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/server/policy"
	"postern/server/submission"
	"postern/storage"
	"postern/storage/audit"
)

// set changes what is set for a target; an empty value takes it away.
func (w *world) set(level storage.PolicyLevel, target uuid.UUID, values map[policy.Key]string) {
	w.t.Helper()
	all, err := w.store.Policies(w.t.Context(), w.org, target)
	w.must(err)
	p := storage.Policy{Head: storage.Head{Org: w.org}, Level: level, Target: target}
	if len(all) > 0 {
		p = all[0]
	}
	p.Values = maps.Clone(p.Values)
	if p.Values == nil {
		p.Values = map[string]string{}
	}
	for key, value := range values {
		if p.Values[string(key)] = value; value == "" {
			delete(p.Values, string(key))
		}
	}
	w.must(w.store.Write(w.t.Context(), storage.System, func(tx *storage.Tx) error {
		row := p // this may run twice
		return tx.PutPolicy(tx.Record(audit.Event{Verb: audit.PolicySet, Outcome: audit.OK}), &row)
	}))
}

// unlimited lifts the limits that stand for agents by default.
func (w *world) unlimited() {
	w.set(storage.LevelAgent, w.agent.ID, map[policy.Key]string{
		policy.KeyMessagesPerHour: "1000000", policy.KeyMessagesPerDay: "1000000", policy.KeyFirstTimePerDay: "1000000"})
}

// refusal is what an error says to the agent.
func (w *world) refusal(err error) *submission.RefusedError {
	w.t.Helper()
	var refused *submission.RefusedError
	if !errors.As(err, &refused) {
		w.t.Fatalf("%v is no refusal", err)
	}
	return refused
}

// TestAV1_LimitsHoldUnderManySessions: 64 sessions at once get as many messages
// through as there is room for, whatever level the limit is at, and no more; and
// none is refused before that.
func TestAV1_LimitsHoldUnderManySessions(t *testing.T) {
	w := newWorld(t, true)
	w.unlimited()
	sessions := make([]*directory.Principal, 64)
	cred, secret, err := w.dir.CreateCredential(t.Context(), storage.System, w.org, directory.CredentialSpec{
		Agent: w.agent.ID, Scopes: []storage.Scope{{Inbox: w.a.ID, Verbs: storage.Send}}})
	w.must(err)
	for i := range sessions {
		sessions[i], err = w.dir.Authenticate(t.Context(), directory.Attempt{Login: w.a.Address, Secret: secret, Door: "submissions", Mechanism: "PLAIN"})
		w.must(err)
	}
	total := 0
	for i, c := range []struct {
		level  storage.PolicyLevel
		target uuid.UUID
	}{
		{storage.LevelOrganization, w.org}, {storage.LevelDomain, w.a.Domain}, {storage.LevelAgent, w.agent.ID},
		{storage.LevelCredential, cred.ID}, {storage.LevelInbox, w.a.ID},
	} {
		const more = 70
		w.set(c.level, c.target, map[policy.Key]string{policy.KeyMessagesPerDay: fmt.Sprint(total + more)})
		var passed, refused atomic.Int64
		var all sync.WaitGroup
		for _, p := range sessions {
			all.Go(func() {
				for range 3 {
					_, err := w.submit(p, letter, "b@example.com")
					var no *submission.RefusedError
					switch {
					case err == nil:
						passed.Add(1)
					case errors.As(err, &no) && no.Rule == policy.LimitMessages && no.Code == 451 && no.Enhanced == "4.7.1":
						refused.Add(1)
					default:
						t.Errorf("%s: %v", c.level, err)
					}
				}
			})
		}
		all.Wait()
		if passed.Load() != more || refused.Load() != 3*64-more {
			t.Errorf("%s: %d passed and %d were refused, with room for %d", c.level, passed.Load(), refused.Load(), more)
		}
		total += more
		if n := len(w.events(audit.MessageSubmitted)); n != total {
			t.Errorf("%s: %d submissions in the log, want %d", c.level, n, total)
		}
		if e := w.events(audit.MessageRefused); e[len(e)-1].Fields.Text(audit.KeyLevel) != string(c.level) || len(e) != (i+1)*(3*64-more) {
			t.Errorf("%s: the log says %+v", c.level, e[len(e)-1].Fields)
		}
		value := ""
		if c.level == storage.LevelAgent {
			value = "1000000"
		}
		w.set(c.level, c.target, map[policy.Key]string{policy.KeyMessagesPerDay: value})
	}
}

// TestAV1_WhatCounts: what was accepted counts once, with its recipients and
// those that are new; what was refused, and a retry under the same key, do not.
func TestAV1_WhatCounts(t *testing.T) {
	w := newWorld(t, true)
	want := func(messages, recipients, first int64) {
		t.Helper()
		all, err := w.store.Usage(t.Context(), w.org, w.a.Domain, w.agent.ID, w.p.Credential.ID, w.a.ID)
		w.must(err)
		for _, u := range all {
			if sum := u.Sum(storage.PerDay); sum != (storage.Tally{Messages: messages, Recipients: recipients, FirstTime: first}) {
				t.Errorf("%s: %+v, want %d, %d and %d", u.Subject, sum, messages, recipients, first)
			}
		}
	}
	keyed := "Idempotency-Key: once\r\n" + letter
	_, err := w.submit(w.p, keyed, "x@remote.test", "y@remote.test", "b@example.com")
	w.must(err)
	want(1, 3, 3)
	if r, err := w.submit(w.p, keyed, "x@remote.test"); err != nil || !r.Duplicate {
		t.Errorf("%+v, %v", r, err)
	}
	want(1, 3, 3)
	_, err = w.submit(w.p, letter, "x@remote.test", "z@remote.test")
	w.must(err)
	want(2, 5, 4)
	w.set(storage.LevelDomain, w.a.Domain, map[policy.Key]string{policy.KeyRecipientsDeny: "*.test,remote.test"})
	if no := w.refusal(second(w.submit(w.p, letter, "x@remote.test"))); no.Rule != policy.RecipientDenied {
		t.Errorf("%+v", no)
	}
	if _, err := w.submit(w.p, "From: b@example.com\r\n\r\nx\r\n", "b@example.com"); err == nil {
		t.Error("sent in another's name")
	}
	want(2, 5, 4)
	// A retry of what was accepted stays accepted, whatever is full by now.
	w.set(storage.LevelAgent, w.agent.ID, map[policy.Key]string{policy.KeyMessagesPerHour: "2"})
	if r, err := w.submit(w.p, keyed, "b@example.com"); err != nil || !r.Duplicate {
		t.Errorf("%+v, %v", r, err)
	}
}

func second[A, B any](_ A, b B) B { return b }

// TestAV1_EveryLimit: each is refused with its reply and the time to come back, at
// the end of the data as in RCPT and MAIL, and who comes back then is let through.
func TestAV1_EveryLimit(t *testing.T) {
	for _, c := range []struct {
		key      policy.Key
		rule     policy.Rule
		code     int
		enhanced string
		mail     bool // MAIL knows it
		rcpt     bool // RCPT does
		most     int  // seconds to wait at the most
	}{
		{key: policy.KeyMessagesPerMinute, rule: policy.LimitMessages, code: 451, enhanced: "4.7.1", mail: true, most: 65},
		{key: policy.KeyMessagesPerHour, rule: policy.LimitMessages, code: 451, enhanced: "4.7.1", mail: true, most: 3900},
		{key: policy.KeyMessagesPerDay, rule: policy.LimitMessages, code: 451, enhanced: "4.7.1", mail: true, most: 90000},
		{key: policy.KeyRecipientsPerMinute, rule: policy.LimitRecipients, code: 452, enhanced: "4.5.3", rcpt: true, most: 65},
		{key: policy.KeyRecipientsPerHour, rule: policy.LimitRecipients, code: 452, enhanced: "4.5.3", rcpt: true, most: 3900},
		{key: policy.KeyRecipientsPerDay, rule: policy.LimitRecipients, code: 452, enhanced: "4.5.3", rcpt: true, most: 90000},
		{key: policy.KeyFirstTimePerDay, rule: policy.LimitFirstTime, code: 452, enhanced: "4.5.3", most: 90000},
	} {
		t.Run(string(c.key), func(t *testing.T) {
			w := newWorld(t, true)
			w.set(storage.LevelAgent, w.agent.ID, map[policy.Key]string{c.key: "2"})
			for i := range 2 {
				_, err := w.submit(w.p, letter, fmt.Sprintf("x%d@remote.test", i))
				w.must(err)
			}
			no := w.refusal(second(w.submit(w.p, letter, "x2@remote.test")))
			var wait int
			_, after, _ := strings.Cut(no.Public, ", try again in ")
			fmt.Sscanf(after, "%d s", &wait)
			if no.Rule != c.rule || no.Code != c.code || no.Enhanced != c.enhanced || wait == 0 || wait > c.most {
				t.Fatalf("%+v", no)
			}
			if err := w.out.CheckSender(t.Context(), w.p, w.path("a@example.com")); (err != nil) != c.mail {
				t.Errorf("MAIL: %v", err)
			}
			if err := w.out.CheckRecipient(t.Context(), w.p, w.path("x2@remote.test"), 1); (err != nil) != c.rcpt {
				t.Errorf("RCPT: %v", err)
			}
			e := w.events(audit.MessageRefused)
			if f := e[0].Fields; f.Text(audit.KeyRule) != c.rule.String() || f.Text(audit.KeyLevel) != "agent" || f.Get(audit.KeyRetry) != int64(wait) {
				t.Errorf("%+v", f)
			}
			w.advance(time.Duration(wait) * time.Second)
			_, err := w.submit(w.p, letter, "x2@remote.test")
			w.must(err)
		})
	}
}

// TestAV1_LimitReachedIsAnAlert: an agent that runs into a limit is one alert, however often it tries.
func TestAV1_LimitReachedIsAnAlert(t *testing.T) {
	w := newWorld(t, true)
	w.set(storage.LevelAgent, w.agent.ID, map[policy.Key]string{policy.KeyMessagesPerHour: "1"})
	_, err := w.submit(w.p, letter, "b@example.com")
	w.must(err)
	for range 5 {
		w.refusal(second(w.submit(w.p, letter, "b@example.com")))
	}
	alerts, err := w.store.Alerts(t.Context(), w.org, uuid.Nil, 10, true)
	w.must(err)
	if len(alerts) != 1 || alerts[0].Kind != storage.AlertLimitReached || alerts[0].Agent != w.agent.ID || alerts[0].Count != 5 {
		t.Errorf("%+v", alerts)
	}
}

// wrote has an address write authenticated mail to the inbox a.
func (w *world) wrote(address string) {
	w.t.Helper()
	in, err := w.store.OpenInbox(w.t.Context(), w.org, w.a.ID)
	w.must(err)
	w.must(w.store.Write(w.t.Context(), storage.System, func(tx *storage.Tx) error {
		tx.Record(audit.Event{Verb: audit.MessageReceived, Org: w.org, Inbox: w.a.ID})
		return tx.NoteReceived(in, address, false)
	}))
}

// TestAV1_LimitOfZero: what is limited to none is refused for good, and nobody is
// told to come back.
func TestAV1_LimitOfZero(t *testing.T) {
	for _, c := range []struct {
		key        policy.Key
		rule       policy.Rule
		mail, rcpt bool // they know it
	}{
		{policy.KeyMessagesPerMinute, policy.LimitMessages, true, false},
		{policy.KeyMessagesPerDay, policy.LimitMessages, true, false},
		{policy.KeyRecipientsPerHour, policy.LimitRecipients, false, true},
		{policy.KeyFirstTimePerDay, policy.LimitFirstTime, false, false},
	} {
		w := newWorld(t, true)
		w.set(storage.LevelAgent, w.agent.ID, map[policy.Key]string{c.key: "0"})
		no := w.refusal(second(w.submit(w.p, letter, "x@remote.test")))
		if no.Rule != c.rule || no.Code != 550 || no.Enhanced != "5.7.1" || strings.Contains(no.Public, "try again") {
			t.Errorf("%s: %+v", c.key, no)
		}
		if err := w.out.CheckSender(t.Context(), w.p, w.path("a@example.com")); (err != nil) != c.mail || c.mail && w.refusal(err).Code != 550 {
			t.Errorf("%s: MAIL: %v", c.key, err)
		}
		if err := w.out.CheckRecipient(t.Context(), w.p, w.path("x@remote.test"), 1); (err != nil) != c.rcpt || c.rcpt && w.refusal(err).Code != 550 {
			t.Errorf("%s: RCPT: %v", c.key, err)
		}
		f := w.events(audit.MessageRefused)[0].Fields
		if code, _ := f.Int(audit.KeyCode); f.Text(audit.KeyRule) != c.rule.String() || code != 550 || f.Text(audit.KeyLevel) != "agent" || f.Get(audit.KeyRetry) != nil {
			t.Errorf("%s: the log says %+v", c.key, f)
		}
	}
}

// TestAU4_MissingDeclarations: what policy asks an agent to declare is refused
// without, or noted, by each as it says.
func TestAU4_MissingDeclarations(t *testing.T) {
	const declared = "Agent-Trigger: type=schedule\r\nAgent-Content: origin=human\r\n" + letter
	for _, c := range []struct {
		trigger, content, text string
		rule                   policy.Rule
		remarks                []string
	}{
		{"allow", "allow", letter, policy.None, nil},
		{"warn", "allow", letter, policy.None, []string{"trigger-missing"}},
		{"warn", "warn", letter, policy.None, []string{"trigger-missing", "content-missing"}},
		{"warn", "warn", declared, policy.None, nil},
		{"refuse", "warn", letter, policy.TriggerMissing, nil},
		{"warn", "refuse", letter, policy.ContentMissing, nil},
		{"refuse", "refuse", declared, policy.None, nil},
		{"refuse", "allow", "Agent-Trigger: sure\r\n" + letter, policy.TriggerMissing, nil}, // malformed is none
	} {
		w := newWorld(t, true)
		w.set(storage.LevelAgent, w.agent.ID, map[policy.Key]string{policy.KeyProvenanceTrigger: c.trigger, policy.KeyProvenanceContent: c.content})
		_, err := w.submit(w.p, c.text, "b@example.com")
		if c.rule != policy.None {
			if no := w.refusal(err); no.Rule != c.rule || no.Code != 550 || no.Enhanced != "5.7.1" {
				t.Errorf("%+v: %+v", c, no)
			}
			continue
		}
		w.must(err)
		var remarks []string
		for _, f := range w.events(audit.MessageSubmitted)[0].Fields {
			if f.Key == audit.KeyRemark {
				remarks = append(remarks, f.Value.(string))
			}
		}
		if !slices.Equal(remarks, c.remarks) {
			t.Errorf("%+v: remarks %v", c, remarks)
		}
	}
}

// TestAV1_RecipientRules: who may be written to is asked in RCPT and, since policy
// may change, once more with the message.
func TestAV1_RecipientRules(t *testing.T) {
	for _, c := range []struct {
		values map[policy.Key]string
		to     string
		rule   policy.Rule
	}{
		{map[policy.Key]string{policy.KeyRecipientsDeny: "remote.test"}, "x@remote.test", policy.RecipientDenied},
		{map[policy.Key]string{policy.KeyRecipientsDeny: "remote.test"}, "x@REMOTE.test", policy.RecipientDenied},
		{map[policy.Key]string{policy.KeyRecipientsDeny: "remote.test"}, "x@mail.remote.test", policy.None},
		{map[policy.Key]string{policy.KeyRecipientsDeny: "*.remote.test"}, "x@a.b.remote.test", policy.RecipientDenied},
		{map[policy.Key]string{policy.KeyRecipientsAllow: "x@remote.test", policy.KeyRecipientsDeny: "remote.test"}, "x@remote.test", policy.RecipientDenied},
		{map[policy.Key]string{policy.KeyRecipientsAllow: "none"}, "b@example.com", policy.RecipientNotAllowed}, // invariant 6
		{map[policy.Key]string{policy.KeyRecipientsAllow: "X@remote.test"}, "x@remote.test", policy.None},
		{map[policy.Key]string{policy.KeyInsideOnly: "yes"}, "x@remote.test", policy.RecipientOutside},
		{map[policy.Key]string{policy.KeyInsideOnly: "yes"}, "nobody@example.com", policy.None}, // AC-5
		{map[policy.Key]string{policy.KeyRepliesOnly: "yes"}, "x@remote.test", policy.RecipientNoReply},
		{map[policy.Key]string{policy.KeyRepliesOnly: "yes"}, "b@example.com", policy.RecipientNoReply},
		{map[policy.Key]string{policy.KeyRepliesOnly: "yes"}, "wrote@remote.test", policy.None},
		{map[policy.Key]string{policy.KeyRepliesOnly: "yes"}, "Wrote@Remote.Test", policy.None},
	} {
		w := newWorld(t, true)
		w.wrote("wrote@remote.test")
		for key, value := range c.values {
			s, _ := policy.Lookup(string(key))
			canonical, err := s.Parse(value)
			w.must(err)
			w.set(storage.LevelAgent, w.agent.ID, map[policy.Key]string{key: canonical})
		}
		early := w.out.CheckRecipient(t.Context(), w.p, w.path(c.to), 1)
		if refused := early != nil; refused != (c.rule != policy.None) {
			t.Errorf("%v %s in RCPT: %v", c.values, c.to, early)
		}
		_, err := w.submit(w.p, letter, c.to)
		if c.rule == policy.None {
			w.must(err)
			continue
		}
		if no := w.refusal(err); no.Rule != c.rule || no.Code != 550 || no.Enhanced != "5.7.1" {
			t.Errorf("%v %s: %+v", c.values, c.to, no)
		}
	}
}
