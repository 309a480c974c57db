package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// TestRefusalsHaveCodes holds the classes that become exit codes.
func TestRefusalsHaveCodes(t *testing.T) {
	w := newWorld(t)
	w.staff()
	ctx := t.Context()
	create := func(q CredentialCreate) func() error {
		return func() error { _, err := w.CreateCredential(ctx, q); return err }
	}
	mine := []Scope{{"scout@example.com", "read"}}
	ada := w.person("ada@example.org", storage.PersonAdmin)
	for _, c := range []struct {
		name string
		do   func() error
		code Code
		text string
	}{
		{"no domain name", func() error { _, err := w.AddDomain(ctx, DomainAdd{Name: "example"}); return err },
			Invalid, `"example" is not a fully qualified domain name`},
		{"domain taken", func() error { _, err := w.AddDomain(ctx, DomainAdd{Name: "EXAMPLE.com"}); return err }, Taken, "domain"},
		{"no such domain", func() error { _, err := w.Domain(ctx, "example.net"); return err }, NotFound, `there is no domain "example.net"`},
		{"domain in use", func() error { return w.RemoveDomain(ctx, "example.com") }, InUse, "the domain has inboxes"},
		{"inbox of no domain of ours", func() error { _, err := w.CreateInbox(ctx, InboxCreate{Address: "a@example.net"}); return err },
			NotFound, "domain example.net: add it first"},
		{"inbox taken", func() error { _, err := w.CreateInbox(ctx, InboxCreate{Address: "scout@example.com"}); return err }, Taken, "inbox"},
		{"no such agent", func() error { _, err := w.Agent(ctx, "nobody"); return err }, NotFound, `there is no agent "nobody"`},
		{"agent not suspended", func() error { _, err := w.ResumeAgent(ctx, AgentChange{Agent: "scout"}); return err },
			State, "the agent is active"},
		{"credential without scope", create(CredentialCreate{Agent: "scout"}), Invalid, "1 to 50 scopes"},
		{"credential for too long", create(CredentialCreate{Agent: "scout", Scopes: mine, Seconds: 91 * 24 * 3600}),
			Refused, "lives 90 days at the most"},
		{"credential for ages", create(CredentialCreate{Agent: "scout", Scopes: mine, Seconds: 1 << 62}), Invalid, "cannot live"},
		{"test credential for a live inbox", create(CredentialCreate{Agent: "scout", Scopes: mine, Env: "test"}),
			Refused, "opens no live inbox"},
		{"no verb", create(CredentialCreate{Agent: "scout", Scopes: []Scope{{"scout@example.com", "reed"}}}), Invalid, `"reed" is no verb`},
		{"revocation without reason", func() error { _, err := w.RevokeCredential(ctx, CredentialRevoke{Credential: "x"}); return err },
			Invalid, "needs a reason"},
		{"rotation of nothing", func() error { _, err := w.RotateCredential(ctx, CredentialRotate{Credential: "x"}); return err },
			NotFound, `there is no credential "x"`},
		{"freeze without reason", func() error { _, err := w.Freeze(ctx, FreezeChange{Kind: storage.FreezeAll}); return err },
			Invalid, "needs a reason"},
		{"freeze of no kind", func() error { _, err := w.Freeze(ctx, FreezeChange{Kind: "inbox", Reason: "odd"}); return err },
			Invalid, `"inbox" cannot be frozen`},
		{"freeze of everything of that name", func() error {
			_, err := w.Freeze(ctx, FreezeChange{Kind: storage.FreezeAll, Name: "scout", Reason: "odd"})
			return err
		}, Invalid, "names nothing more"},
		{"lifting what is not frozen", func() error {
			_, err := ada.Unfreeze(ctx, FreezeChange{Kind: storage.FreezeAgent, Name: "scout", Reason: "odd"})
			return err
		}, State, "not frozen"},
		{"no row of the queue", func() error { return w.RetryOutgoing(ctx, w.store.Instance().String()) }, NotFound, "queue row"},
		{"no id", func() error { return w.RetryOutgoing(ctx, "1") }, Invalid, `"1" is no id`},
		{"no such event", func() error { _, err := collect(w.Events(ctx, EventQuery{Verbs: []string{"mail.lost"}})); return err },
			Invalid, `there is no event "mail.lost"`},
		{"no such message", func() error { _, err := w.Trace(ctx, "none@example.com"); return err },
			NotFound, `there is no message "<none@example.com>"`},
	} {
		var e *Error
		if err := c.do(); !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Message, c.text) {
			t.Errorf("%s: %v, want %s: …%s…", c.name, err, c.code, c.text)
		}
	}
}

// TestAC6_SecretIsShownOnce holds that a secret is in the answer that makes it
// and in no other.
func TestAC6_SecretIsShownOnce(t *testing.T) {
	w := newWorld(t)
	c := w.staff()
	if !strings.HasPrefix(c.Secret, "pst_live_") || c.Expires.Sub(w.clock()).Round(time.Hour) != 90*24*time.Hour {
		t.Errorf("issued %q until %s", c.Secret[:9], c.Expires)
	}
	all, err := collect(w.Credentials(t.Context(), CredentialQuery{}))
	w.must(err)
	one, err := w.Credential(t.Context(), c.PublicID)
	w.must(err)
	events, err := collect(w.Events(t.Context(), EventQuery{}))
	w.must(err)
	b, err := json.Marshal([]any{all, one, events})
	w.must(err)
	if bytes.Contains(b, []byte(c.Secret)) || bytes.Contains(b, []byte(c.Secret[17:])) {
		t.Error("the secret is shown again")
	}
	if len(all) != 1 || all[0].Agent != "scout" || all[0].Scopes[0].Inbox != "scout@example.com" || all[0].State != "active" {
		t.Errorf("credentials: %+v", all)
	}
	w.advance(91 * 24 * time.Hour)
	if one, err = w.Credential(t.Context(), c.ID.String()); err != nil || one.State != "expired" {
		t.Errorf("after 91 days the credential is %s, %v", one.State, err)
	}
}

// TestLists_ByKey holds that a list read in parts is the list, whatever the size of the parts: also that of credentials,
// which goes on in the middle of an agent's.
func TestLists_ByKey(t *testing.T) {
	w := newWorld(t)
	w.staff()
	for _, agent := range []string{"clerk", "porter", "scribe"} {
		_, err := w.CreateAgent(t.Context(), AgentCreate{Name: agent, Owner: "owner@example.com"})
		w.must(err)
	}
	for _, agent := range []string{"scout", "porter", "scout", "scribe", "porter", "porter"} {
		_, err := w.CreateCredential(t.Context(), CredentialCreate{Agent: agent, Scopes: []Scope{{Inbox: "scout@example.com", Verbs: "read"}}})
		w.must(err)
	}
	ids := func(q CredentialQuery) (all []uuid.UUID) {
		t.Helper()
		rows, err := collect(w.Credentials(t.Context(), q))
		w.must(err)
		for _, c := range rows {
			all = append(all, c.ID)
		}
		return all
	}
	for _, agent := range []string{"", "porter", "clerk"} {
		whole := ids(CredentialQuery{Agent: agent})
		for limit := 1; limit <= len(whole)+1; limit++ {
			var parts []uuid.UUID
			for after := uuid.Nil; ; after = parts[len(parts)-1] {
				some := ids(CredentialQuery{Agent: agent, Page: Page{After: after, Limit: limit}})
				if parts = append(parts, some...); len(some) < limit {
					break
				}
			}
			if !slices.Equal(parts, whole) {
				t.Errorf("%s in parts of %d: %v, want %v", agent, limit, parts, whole)
			}
		}
	}
	if whole := ids(CredentialQuery{}); len(whole) != 7 {
		t.Errorf("%d credentials", len(whole))
	}
}

// TestLongListsArePaged holds that a list is whole beyond one short read.
func TestLongListsArePaged(t *testing.T) {
	w := newWorld(t)
	const n = 2*page + 1
	for i := range n {
		_, err := w.CreateAgent(t.Context(), AgentCreate{Name: fmt.Sprintf("agent %d", i), Owner: "ann@example.org"})
		w.must(err)
	}
	agents, err := collect(w.Agents(t.Context(), AgentQuery{}))
	w.must(err)
	if len(agents) != n || agents[0].Name != "agent 0" || agents[n-1].Name != fmt.Sprintf("agent %d", n-1) {
		t.Errorf("%d agents, want %d", len(agents), n)
	}
	events, err := collect(w.Events(t.Context(), EventQuery{Verbs: []string{"agent.create"}}))
	w.must(err)
	if len(events) != n {
		t.Errorf("%d events, want %d", len(events), n)
	}
	for range w.Agents(t.Context(), AgentQuery{}) {
		break // a reader that has enough
	}
	some, err := collect(w.Agents(t.Context(), AgentQuery{Page: Page{Limit: 7, After: agents[page-1].ID}}))
	w.must(err)
	if len(some) != 7 || some[0].ID != agents[page].ID {
		t.Errorf("%d agents after the first %d", len(some), page)
	}
	some, err = collect(w.Agents(t.Context(), AgentQuery{Page: Page{Limit: 2}, Match: " AGENT 100"}))
	w.must(err)
	if len(some) != 2 || some[0].Name != "agent 100" || some[1].Name != "agent 1000" {
		t.Errorf("a part of the name finds %v", some)
	}
}

// TestEventsAreSelected holds the filters of the contract.
func TestEventsAreSelected(t *testing.T) {
	w := newWorld(t)
	c := w.staff()
	w.submit(c, letter, "you@example.net")
	noon := w.clock()
	w.advance(time.Hour)
	_, err := w.CreateAgent(t.Context(), AgentCreate{Name: "clerk", Owner: "ann@example.org"})
	w.must(err)
	for _, x := range []struct {
		name string
		q    EventQuery
		want string
	}{
		{"agent", EventQuery{Agent: "clerk"}, "agent.create"},
		{"credential", EventQuery{Credential: c.PublicID}, "credential.create session.login message.submitted"},
		{"inbox", EventQuery{Inbox: "scout@example.com"}, "inbox.create session.login message.submitted"},
		{"verbs", EventQuery{Verbs: []string{"agent.create", "domain.add"}}, "domain.add agent.create agent.create"},
		{"message", EventQuery{MessageID: "q3@example.com"}, "message.submitted"},
		{"since", EventQuery{Since: noon, Verbs: []string{"agent.create"}}, "agent.create"},
		{"until", EventQuery{Until: noon, Agent: "clerk"}, ""},
		{"newest", EventQuery{Verbs: []string{"domain.add", "inbox.create", "agent.create"}, Limit: 2}, "agent.create agent.create"},
	} {
		events, err := collect(w.Events(t.Context(), x.q))
		w.must(err)
		var verbs []string
		for _, e := range events {
			verbs = append(verbs, e.Event.Verb)
		}
		if got := strings.Join(verbs, " "); got != x.want {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
}

// TestEventsKeepTheirRendering holds that an event crosses the socket as the
// bytes that the log renders, since an export has the same.
func TestEventsKeepTheirRendering(t *testing.T) {
	w := newWorld(t)
	w.staff()
	rows, err := collect(w.Events(t.Context(), EventQuery{Verbs: []string{"agent.create"}}))
	w.must(err)
	events, err := w.store.Events(t.Context(), eventsOf(audit.AgentCreate))
	w.must(err)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	w.must(enc.Encode(rows[0].Event))
	if got, want := strings.TrimSpace(b.String()), string(events[0].AppendJSON(nil)); got != want {
		t.Errorf("rendered\n %s\nwant\n %s", got, want)
	}
	if rows[0].Names[events[0].Agent.String()] != "scout" {
		t.Errorf("names: %v", rows[0].Names)
	}
}

// TestAU10_ExportsVerify holds that what comes out of the socket is a bundle,
// whole or filtered.
func TestAU10_ExportsVerify(t *testing.T) {
	w := newWorld(t)
	w.staff()
	key, err := w.AuditKey(t.Context())
	w.must(err)
	for _, q := range []EventQuery{{}, {Agent: "scout"}, {Until: w.clock()}} {
		var b bytes.Buffer
		w.must(w.Export(t.Context(), q, &b))
		report, err := audit.VerifyBundle(&b, audit.VerifyOptions{PublicKey: key.Key})
		if err != nil || !report.OK() || report.Events == 0 || report.Filtered != (q.Agent != "") {
			t.Errorf("%+v: %d events, filtered %t, %v, %v", q, report.Events, report.Filtered, report.Problems, err)
		}
	}
	var b bytes.Buffer
	var e *Error
	if err := w.Export(t.Context(), EventQuery{Agent: "nobody"}, &b); !errors.As(err, &e) || e.Code != NotFound || b.Len() > 0 {
		t.Errorf("export of an unknown agent: %v and %d bytes", err, b.Len())
	}
}

// TestAU2_TraceOnOnePage holds that a Message-ID leads to who sent it, why, and
// what became of it.
func TestAU2_TraceOnOnePage(t *testing.T) {
	w := newWorld(t)
	c := w.staff()
	w.submit(c, letter, "you@example.net", "scout@example.com")
	trace, err := w.Trace(t.Context(), "q3@example.com")
	w.must(err)
	if trace.From != "<scout@example.com>" && trace.From != "scout@example.com" || trace.Subject != "quarterly figures" || len(trace.SHA256) != 2 ||
		len(trace.Declared) != 1 || !strings.HasPrefix(trace.Declared[0], "agent-trigger:") {
		t.Errorf("trace: %+v", trace)
	}
	if len(trace.Recipients) != 2 || trace.Recipients[0].Outcome != "queued" {
		t.Errorf("recipients: %+v", trace.Recipients)
	}
	first := trace.Events[0]
	if first.Verb != "message.submitted" || trace.Names[first.Actor.ID] != "scout" || trace.Names[first.Credential] != c.PublicID {
		t.Errorf("first event: %+v %v", first, trace.Names)
	}
	queued, err := collect(w.Queue(t.Context(), Page{}))
	w.must(err)
	if len(queued) != 2 || queued[0].Agent != "scout" {
		t.Fatalf("queue: %+v", queued)
	}
	id := queued[0].ID.String()
	w.must(w.HoldOutgoing(t.Context(), OutgoingRef{ID: id, Reason: "odd"}))
	w.outcome(0, "held")
	var e *Error
	if err := w.RetryOutgoing(t.Context(), id); !errors.As(err, &e) || e.Code != State || e.Message != "the message is held" {
		t.Errorf("retry of a held row: %v", err)
	}
	if err := w.ReleaseOutgoing(t.Context(), OutgoingRef{ID: id, Reason: "fine"}); !errors.As(err, &e) || e.Code != Refused {
		t.Errorf("a release by the Unix user: %v", err)
	}
	w.must(w.person("rita@example.org", storage.PersonReviewer).ReleaseOutgoing(t.Context(), OutgoingRef{ID: id, Reason: "fine"}))
	w.outcome(0, "queued")
	w.must(w.RetryOutgoing(t.Context(), id))
	w.must(w.BounceOutgoing(t.Context(), OutgoingRef{ID: id, Reason: "wrong address"}))
	w.outcome(0, "bounced")
	w.outcome(1, "queued")
}

func (w *world) outcome(i int, want string) {
	w.t.Helper()
	trace, err := w.Trace(w.t.Context(), "q3@example.com")
	w.must(err)
	if got := trace.Recipients[i].Outcome; got != want {
		w.t.Errorf("recipient %d is %s, want %s", i, got, want)
	}
}

// TestHealth holds what monitoring looks at: a log that fell silent is ill.
func TestHealth(t *testing.T) {
	w := newWorld(t)
	w.submit(w.staff(), letter, "you@example.net")
	h, err := w.Health(t.Context())
	w.must(err)
	if !h.OK || h.Version != "1.2.3" || len(h.Queue) != 1 || h.Queue[0].Count != 1 || h.Sessions != 1 {
		t.Errorf("health: %+v", h)
	}
	w.advance(10 * time.Minute)
	if h, err = w.Health(t.Context()); err != nil || h.OK {
		t.Errorf("after ten minutes without an event the server is well: %+v, %v", h, err)
	}
}

// TestHostileRequests holds the door against what no client of ours sends.
func TestHostileRequests(t *testing.T) {
	w := newWorld(t)
	post := func(path, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	}
	for _, c := range []struct{ name, request, want string }{
		{"unknown command", post("/domain.steal", "{}"), `"code":"invalid"`},
		{"get", "GET /domain.list HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", `"code":"invalid"`},
		{"unknown field", post("/domain.show", `{"name":"a","admin":true}`), "unknown field"},
		{"two objects", post("/domain.show", `{"name":"a"}{}`), "more than one object"},
		{"no object", post("/domain.show", ``), `"code":"invalid"`},
		{"another type", post("/domain.show", `{"name":{}}`), `"code":"invalid"`},
		{"too large", post("/domain.show", `{"name":"`+strings.Repeat("a", maxRequest)+`"}`), "too large"},
		{"deep", post("/domain.show", strings.Repeat(`{"name":`, 20000)), `"code":"invalid"`},
	} {
		conn := w.dialSocket()
		_, err := io.WriteString(conn, c.request)
		w.must(err)
		got, err := io.ReadAll(conn)
		if !bytes.Contains(got, []byte(c.want)) { // the rest of the request may have been cut off
			t.Errorf("%s: %v, %.300q, want %s", c.name, err, got, c.want)
		}
	}
}

// TestErrorInTheMiddle holds that a list which fails on the way is never taken
// for a short one.
func TestErrorInTheMiddle(t *testing.T) {
	w := newWorld(t)
	lines(w.server, "test.fails", func(_ context.Context, _ caller, _ None, emit func(string) error) error {
		for range 2000 {
			if err := emit(strings.Repeat("x", 100)); err != nil {
				return err
			}
		}
		return errors.New("the disk\nbroke")
	})
	got, err := collect(rows[None, string](t.Context(), w.Client, "test.fails", None{}))
	var e *Error
	if !errors.As(err, &e) || e.Code != Failed || e.Message != "the disk\nbroke" || len(got) != 2000 {
		t.Errorf("%d rows, then %v", len(got), err)
	}
	stream(w.server, "test.dies", func(_ context.Context, _ caller, _ None, out io.Writer) error {
		io.WriteString(out, strings.Repeat("\"x\"\n", streamBuffer))
		panic(http.ErrAbortHandler)
	})
	if _, err = collect(rows[None, string](t.Context(), w.Client, "test.dies", None{})); !errors.As(err, &e) || e.Code != Interrupted {
		t.Errorf("a server that died in the middle: %v", err)
	}
}

// TestUnreachable holds that a client says where it looked.
func TestUnreachable(t *testing.T) {
	path := t.TempDir() + "/none.sock"
	_, err := NewClient(path).Health(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Code != Unreachable || !strings.Contains(e.Message, path) {
		t.Errorf("no socket: %v", err)
	}
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Health(ctx); !errors.As(err, &e) || e.Code != Interrupted {
		t.Errorf("cancelled: %v", err)
	}
}

// TestStrangersAtTheDoor holds that who is not known to the kernel gets nothing.
func TestStrangersAtTheDoor(t *testing.T) {
	w := newWorld(t)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST /audit.key HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")))
	w.must(err)
	if _, err := w.server.caller(r); err == nil {
		t.Error("a request without peer credentials has a caller")
	}
}

func eventsOf(v audit.Verb) storage.EventQuery { return storage.EventQuery{Verbs: []audit.Verb{v}} }
