package submission_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/policy"
	"postern/server/submission"
	"postern/storage"
	"postern/storage/audit"
)

// words makes text of that many words that no other seed makes.
func words(seed string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s%d", seed, i)
		if i%10 == 9 {
			b.WriteString("\r\n")
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String() + "\r\n"
}

// arrive delivers a message from outside and returns its UID.
func (w *world) arrive(in storage.InboxRecord, messageID, text string) (uid uint32) {
	w.t.Helper()
	g := w.store.Stage()
	defer g.Discard()
	io.WriteString(g, "From: ann@beta.test\r\nTo: "+in.Address+"\r\nMessage-ID: "+messageID+"\r\n\r\n"+text)
	w.must(g.Finish())
	door := delivery.NewInbound(w.store, w.dir, delivery.Options{Hostname: "mail.example.com", Judge: cleanMail, Now: w.clock})
	_, err := door.Deliver(context.Background(), delivery.Received{Actor: audit.Actor{Kind: audit.Stranger}, Door: "mx", With: "ESMTP",
		From: w.path("ann@beta.test"), To: []delivery.Recipient{{Path: w.path(in.Address), Inbox: in}}, Stage: g})
	w.must(err)
	all := w.mailbox(in, storage.RoleInbox)
	return all[len(all)-1].UID
}

// sees records that an agent reads a message of INBOX.
func (w *world) sees(p *directory.Principal, in storage.InboxRecord, class string, uid uint32) {
	w.t.Helper()
	inbox, err := w.store.OpenInbox(context.Background(), in.Org, in.ID)
	w.must(err)
	box, err := inbox.MailboxByRole(context.Background(), storage.RoleInbox)
	w.must(err)
	w.must(w.store.Write(context.Background(), p.Actor(), func(tx *storage.Tx) error {
		e := tx.Record(audit.Event{Verb: audit.MessageRead, Agent: p.Agent.ID, Credential: p.Credential.ID,
			Fields: audit.Fields{audit.Word(audit.KeyClass, class)}})
		return tx.RecordRead(e, inbox, p.Credential.ID, box.ID, []storage.UIDRange{{First: uid, Last: uid}})
	}))
}

// sent submits a text and returns the event that it left.
func (w *world) sent(p *directory.Principal, text string, to ...string) audit.Event {
	w.t.Helper()
	receipt, err := w.submit(p, text, to...)
	w.must(err)
	all, err := w.store.Events(context.Background(), storage.EventQuery{Org: w.org, Object: receipt.ID, Verbs: []audit.Verb{audit.MessageSubmitted}})
	w.must(err)
	if len(all) != 1 {
		w.t.Fatalf("%d events of a submission", len(all))
	}
	return all[0]
}

// told are the words of a key in an event.
func told(e audit.Event, k audit.Key) (all []string) {
	for _, f := range e.Fields {
		if f.Key == k {
			all = append(all, fmt.Sprint(f.Value))
		}
	}
	return all
}

// TestAU3_Contradictions holds what is taken for a contradiction, and as much what
// is not: an agent that is told it lied when it did not is worse off than one whose
// lie goes unnoticed.
func TestAU3_Contradictions(t *testing.T) {
	const answer = "In-Reply-To: <q@beta.test>\r\n"
	read := func(w *world, uid uint32) { w.sees(w.p, w.a, "body", uid) }
	for _, c := range []struct {
		name   string
		before func(w *world, uid uint32) // <q@beta.test> has arrived
		header string
		want   []string
	}{
		{"a schedule that answers", read, answer + "Agent-Trigger: type=schedule\r\n", []string{"schedule-answers-message"}},
		{"a schedule, by References", read, "References: <x@y> <q@beta.test>\r\nAgent-Trigger: type=schedule\r\n", []string{"schedule-answers-message"}},
		{"a schedule alone", read, "Agent-Trigger: type=schedule\r\n", nil},
		{"a schedule in an old thread", func(w *world, uid uint32) { w.advance(25 * time.Hour); read(w, uid) }, answer + "Agent-Trigger: type=schedule\r\n", nil},
		{"a schedule long after reading", func(w *world, uid uint32) { read(w, uid); w.advance(11 * time.Minute) }, answer + "Agent-Trigger: type=schedule\r\n", nil},
		{"a schedule that answers unseen", func(w *world, uid uint32) { w.sees(w.p, w.a, "envelope", uid) }, answer + "Agent-Trigger: type=schedule\r\n", nil},
		{"a person who asked for an answer", read, answer + "Agent-Trigger: type=user\r\n", nil},
		{"the message that was read", read, "Agent-Trigger: type=message; ref=\"<q@beta.test>\"\r\n", nil},
		{"only its envelope was read", func(w *world, uid uint32) { w.sees(w.p, w.a, "envelope", uid) }, "Agent-Trigger: type=message; ref=\"<q@beta.test>\"\r\n", nil},
		{"read days ago", func(w *world, uid uint32) { read(w, uid); w.advance(40 * time.Hour) }, "Agent-Trigger: type=message; ref=\"<q@beta.test>\"\r\n", nil},
		{"read with another credential", func(w *world, uid uint32) { w.sees(w.login(w.a, storage.Live, storage.Read), w.a, "body", uid) },
			"Agent-Trigger: type=message; ref=\"<q@beta.test>\"\r\n", nil},
		{"never read", nil, "Agent-Trigger: type=message; ref=\"<q@beta.test>\"\r\n", []string{"trigger-never-read"}},
		{"no such message", read, "Agent-Trigger: type=message; ref=\"<none@beta.test>\"\r\n", []string{"trigger-unknown"}},
		{"no Message-ID", read, "Agent-Trigger: type=message; ref=\"ticket 17\"\r\n", nil},
		{"without a ref", read, "Agent-Trigger: type=message\r\n", nil},
		{"a source that was read", read, "Agent-Sources: <q@beta.test>, <elsewhere@x.test>\r\n", nil},
		{"a source that was not", nil, "Agent-Sources: <q@beta.test>\r\n", []string{"source-never-read"}},
		{"a person and a model", nil, "Agent-Content: origin=human; model=\"m-5\"\r\n", []string{"human-with-model"}},
		{"a person", read, answer + "Agent-Content: origin=human\r\n", nil},
		{"nothing declared", read, answer, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, true)
			uid := w.arrive(w.a, "<q@beta.test>", words("q", 100))
			if c.before != nil {
				c.before(w, uid)
			}
			e := w.sent(w.p, c.header+letter, "x@remote.test")
			if got := told(e, audit.KeyContradiction); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
			certain := slices.ContainsFunc(c.want, func(s string) bool { return s != "trigger-unknown" && s != "human-with-model" })
			if n := len(w.events(audit.AlertRaise)); (n == 1) != certain || n > 1 {
				t.Errorf("%d alerts", n)
			}
		})
	}
}

// TestAU3_ReadByAnother: what another agent read may be the cause for this one, so
// it is said and nobody is called.
func TestAU3_ReadByAnother(t *testing.T) {
	w := newWorld(t, true)
	uid := w.arrive(w.a, "<q@beta.test>", "x\r\n")
	reader := w.login(w.a, storage.Live, storage.Read)
	reader.Agent.ID = uuid.New()
	w.sees(reader, w.a, "body", uid)
	e := w.sent(w.p, "Agent-Trigger: type=message; ref=\"<q@beta.test>\"\r\n"+letter, "x@remote.test")
	if got := told(e, audit.KeyContradiction); !slices.Equal(got, []string{"trigger-never-read"}) || len(w.events(audit.AlertRaise)) > 0 {
		t.Errorf("%v and %d alerts", got, len(w.events(audit.AlertRaise)))
	}
}

// TestPI6_Forwards holds what counts as passing stored content on: text of a
// message to somebody who was no party of it, wherever the agent read it, and a
// message inside a message.
func TestPI6_Forwards(t *testing.T) {
	text := words("secret", 200)
	other := words("other", 200)
	attached := "Content-Type: multipart/mixed; boundary=b\r\n" + letter + "\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nx\r\n--b--\r\n"
	for _, c := range []struct {
		name, text, to, want string
		quotes               bool
	}{
		{"to a stranger", letter + text, "x@remote.test", "forwards-text", true},
		{"hidden in other text", letter + other + words("more", 1000) + text, "x@remote.test", "forwards-text", true},
		{"a part of it", letter + text[:900], "x@remote.test", "forwards-text", true},
		{"back to its author", letter + text, "ann@beta.test", "", true},
		{"something else", letter + other, "x@remote.test", "", false},
		{"a message inside", attached, "x@remote.test", "forwards-attached", false},
		{"a file", strings.Replace(attached, "message/rfc822", "application/octet-stream; name=mail.EML", 1), "x@remote.test", "forwards-attached", false},
		{"behind all that is compared", letter + words("more", 30_000) + text, "x@remote.test", "forwards-unseen", false},
		{"behind the last part", parts(1200, text), "x@remote.test", "forwards-unseen", false},
		{"an encoded one", strings.Replace(attached, "rfc822", "rfc822\r\nContent-Transfer-Encoding: base64", 1), "x@remote.test", "forwards-attached", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, true)
			// It is read in one inbox, and sent from another.
			uid := w.arrive(w.b, "<q@beta.test>", text)
			w.sees(w.p, w.b, "text", uid)
			e := w.sent(w.p, c.text, c.to)
			if got := strings.Join(told(e, audit.KeyRemark), " "); got != c.want {
				t.Errorf("remarks %q, want %q", got, c.want)
			}
			if share := told(e, audit.KeyShare); len(share) > 0 != c.quotes {
				t.Errorf("share %v", share)
			}
		})
	}
}

// parts is a letter of so many parts, and one more.
func parts(n int, last string) string {
	return "Content-Type: multipart/mixed; boundary=b\r\n" + letter + strings.Repeat("\r\n--b\r\n\r\nx", n) + "\r\n--b\r\n\r\n" + last + "\r\n--b--\r\n"
}

// TestPI6_UnseenPartsAreAttachments: what stands behind the last part that is looked
// at, or behind the end of its header, waits like an attachment.
func TestPI6_UnseenPartsAreAttachments(t *testing.T) {
	w := newWorld(t, true)
	w.set(storage.LevelAgent, w.agent.ID, map[policy.Key]string{policy.KeyHoldAttachment: "yes"})
	long := "Content-Type: multipart/mixed; boundary=b\r\n" + letter + "\r\n--b\r\nX: " + strings.Repeat("y", 300<<10) + "\r\nContent-Disposition: attachment\r\n\r\n1, 2\r\n--b--\r\n"
	for name, c := range map[string]struct {
		text string
		held bool
	}{
		"some parts": {parts(3, "x"), false}, "many parts": {parts(1200, "x"), true}, "a long header": {long, true},
	} {
		if r, err := w.submit(w.p, c.text, "x@remote.test"); err != nil || r.Held != c.held {
			t.Errorf("%s: %+v, %v, want it held: %t", name, r, err, c.held)
		}
	}
}

// TestOwnWordsAreNotForwarded: an agent that reads its Sent and writes the same to
// the next customer passes nothing on.
func TestOwnWordsAreNotForwarded(t *testing.T) {
	w := newWorld(t, true)
	text := words("newsletter", 200)
	w.sent(w.p, letter+text, "x@remote.test")
	inbox, err := w.store.OpenInbox(t.Context(), w.org, w.a.ID)
	w.must(err)
	sent, err := inbox.MailboxByRole(t.Context(), storage.RoleSent)
	w.must(err)
	w.must(w.store.Write(t.Context(), w.p.Actor(), func(tx *storage.Tx) error {
		e := tx.Record(audit.Event{Verb: audit.MessageRead, Agent: w.p.Agent.ID, Credential: w.p.Credential.ID, Fields: audit.Fields{audit.Word(audit.KeyClass, "body")}})
		return tx.RecordRead(e, inbox, w.p.Credential.ID, sent.ID, []storage.UIDRange{{First: 1, Last: 1}})
	}))
	if e := w.sent(w.p, letter+text, "y@remote.test"); len(told(e, audit.KeyRemark)) > 0 || len(told(e, audit.KeyReads)) != 1 {
		t.Errorf("remarks %v, reads %v", told(e, audit.KeyRemark), told(e, audit.KeyReads))
	}
}

// TestAU5_AnsweredIsOnRecord holds that an answer names the digest of what it
// answers.
func TestAU5_AnsweredIsOnRecord(t *testing.T) {
	w := newWorld(t, true)
	w.sees(w.p, w.a, "body", w.arrive(w.a, "<q@beta.test>", "hello\r\n"))
	w.advance(3 * time.Second)
	e := w.sent(w.p, "In-Reply-To: <q@beta.test>\r\n"+letter, "ann@beta.test")
	came := w.events(audit.MessageReceived)[0]
	ms, _ := e.Fields.Int(audit.KeyMillis)
	if id, _ := e.Fields.ID(audit.KeyAnswers); id != came.Object || ms < 3000 || ms > 4000 ||
		fmt.Sprint(e.Fields.Get(audit.KeyAnswersSHA256)) != fmt.Sprint(came.Fields.Get(audit.KeySHA256)) {
		t.Errorf("answers %v, read %d ms before: %+v", id, ms, e.Fields)
	}
}

// BenchmarkSubmitAnswer is BenchmarkSubmit with an agent that has read sixteen
// messages before and answers one.
func BenchmarkSubmitAnswer(b *testing.B) {
	for _, name := range []string{"nothing read", "sixteen read"} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, true)
			header := ""
			for i := range 16 {
				if name == "sixteen read" {
					w.sees(w.p, w.a, "body", w.arrive(w.a, fmt.Sprintf("<q%d@beta.test>", i), words(fmt.Sprint("q", i, "x"), 600)))
					header = "In-Reply-To: <q3@beta.test>\r\nAgent-Trigger: type=message; ref=\"<q3@beta.test>\"\r\n"
				}
			}
			text := header + letter + words("answer", 500)
			w.sent(w.p, text, "x@remote.test")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.submit(w.p, text, "x@remote.test"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAU2_RefusalIsFound holds that a message which policy refuses is found by its
// Message-ID, with what the agent declares of it; and that of one which is refused
// for a token nothing is kept that may hold it.
func TestAU2_RefusalIsFound(t *testing.T) {
	w := newWorld(t, true)
	const header = "Message-ID: <no@example.com>\r\nAgent-Trigger: type=schedule\r\n"
	var refused *submission.RefusedError
	if _, err := w.submit(w.p, header+"From: b@example.com\r\n\r\nx\r\n", "x@remote.test"); !errors.As(err, &refused) {
		t.Fatal(err)
	}
	trace, err := w.store.Trace(t.Context(), storage.System, w.org, "<no@example.com>")
	w.must(err)
	if len(trace.Events) != 1 || trace.Events[0].Verb != audit.MessageRefused || trace.Events[0].Fields.Text(audit.KeyTrigger) != "schedule" {
		t.Errorf("trace: %+v", trace.Events)
	}
	_, secret, err := w.dir.CreateCredential(t.Context(), storage.System, w.org, directory.CredentialSpec{
		Agent: w.agent.ID, Scopes: []storage.Scope{{Inbox: w.a.ID, Verbs: storage.Read}}})
	w.must(err)
	text := "Message-ID: <" + secret + "@example.com>\r\nSubject: " + secret + "\r\nAgent-Run: " + secret + "\r\n" + letter
	if _, err := w.submit(w.p, text, "x@remote.test"); !errors.As(err, &refused) || refused.Rule != policy.TokenLeaked {
		t.Fatal(err)
	}
	for _, e := range w.events(audit.MessageRefused, audit.CredentialLeaked, audit.AlertRaise) {
		if strings.Contains(string(e.AppendJSON(nil)), secret) {
			t.Errorf("AC-6: the token stands in %s", e.Verb)
		}
	}
}
