package control

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"postern/storage"
	"postern/storage/audit"
)

// The sets of callers of the matrix: unix is the Unix user alone, bare an admin
// whose session has no second factor, and the others are people of one role.
const (
	everybody = "unix bare admin operator reviewer auditor"
	operators = "unix bare admin operator"
	admins    = "admin"
	reviewers = "admin reviewer"
)

// matrix is who may use each command. A request is such that it would find
// nothing, or change nothing that counts here.
var matrix = map[string]struct{ who, request string }{
	"health":                {everybody, `{}`},
	"overview":              {everybody, `{}`},
	"agent.day":             {everybody, `{"agent":"x"}`},
	"counters":              {everybody, `{}`},
	"counters.watch":        {everybody, `{}`},
	"domain.add":            {operators, `{"name":"x"}`},
	"domain.list":           {everybody, `{}`},
	"domain.show":           {everybody, `{"name":"x.test"}`},
	"domain.records":        {everybody, `{"name":"x.test"}`},
	"domain.check":          {operators, `{"name":"x.test"}`},
	"domain.checked":        {everybody, `{"name":"x.test"}`},
	"domain.remove":         {operators, `{"name":"x.test"}`},
	"inbox.create":          {operators, `{"address":"x@x.test"}`},
	"inbox.list":            {everybody, `{}`},
	"inbox.show":            {everybody, `{"address":"x@x.test"}`},
	"inbox.remove":          {operators, `{"address":"x@x.test"}`},
	"agent.create":          {operators, `{"name":"x"}`},
	"agent.list":            {everybody, `{}`},
	"agent.show":            {everybody, `{"agent":"x"}`},
	"agent.suspend":         {operators, `{"agent":"x"}`},
	"agent.resume":          {operators, `{"agent":"x"}`},
	"agent.decommission":    {operators, `{"agent":"x"}`},
	"credential.create":     {operators, `{"agent":"x"}`},
	"credential.list":       {everybody, `{}`},
	"credential.show":       {everybody, `{"credential":"x"}`},
	"credential.rotate":     {operators, `{"credential":"x"}`},
	"credential.rotate-due": {operators, `{}`},
	"credential.revoke":     {operators, `{"credential":"x"}`},
	"freeze.set":            {operators, `{"kind":"agent","name":"x","reason":"x"}`},
	"freeze.lift":           {admins, `{"kind":"agent","name":"x","reason":"x"}`},
	"freeze.list":           {everybody, `{}`},
	"queue.day":             {everybody, `{}`},
	"queue.list":            {everybody, `{}`},
	"queue.show":            {everybody, `{"id":"x"}`},
	"queue.retry":           {operators, `{"id":"x"}`},
	"queue.hold":            {operators, `{"id":"x"}`},
	"queue.release":         {reviewers, `{"id":"x"}`},
	"queue.bounce":          {operators, `{"id":"x"}`},
	"allow.add":             {admins, `{"inbox":"x","sender":"x","reason_code":"x","reason":"x"}`},
	"allow.list":            {everybody, `{}`},
	"allow.remove":          {admins, `{"id":"x","reason":"x"}`},
	"message.mark":          {reviewers, `{"id":"x","label":"harmless","reason":"x"}`},
	"message.marks":         {everybody, `{}`},
	"injection.evaluate":    {operators, `{}`},
	"injection.report":      {everybody, `{}`},
	"injection.replay":      {operators, `{"inbox":"x@x.test"}`}, // to apply what it finds: admins
	"injection.model":       {everybody, `{}`},
	"quarantine.list":       {everybody, `{}`},
	"quarantine.scores":     {everybody, `{}`},
	"quarantine.show":       {everybody, `{"id":"x"}`}, // with content: reviewers
	"quarantine.release":    {reviewers, `{"id":"x","reason":"x"}`},
	"quarantine.reject":     {reviewers, `{"id":"x","reason":"x"}`},
	"approval.list":         {everybody, `{}`},
	"approval.decisions":    {everybody, `{}`},
	"approval.show":         {reviewers, `{"id":"x"}`},
	"approval.release":      {reviewers, `{"id":"x"}`},
	"approval.reject":       {reviewers, `{"id":"x"}`},
	"audit.list":            {everybody, `{"limit":1}`},
	"audit.export":          {everybody, `{}`},
	"audit.key":             {everybody, `{}`},
	"backup.create":         {operators, `{}`},
	"backup.verified":       {operators, `{"made":"2026-01-02T03:04:05Z"}`},
	"audit.verify":          {everybody, `{}`},
	"audit.explore":         {everybody, `{"counts":true}`},
	"credential.report":     {everybody, `{}`},
	"credential.activity":   {everybody, `{"credential":"x"}`},
	"captured.list":         {everybody, `{}`},
	"captured.show":         {reviewers, `{"id":"0198c0de-0000-7000-8000-000000000001"}`},
	"report.list":           {everybody, `{"domain":"example.com"}`},
	"report.show":           {everybody, `{"domain":"example.com"}`},
	"message.list":          {everybody, `{"inbox":"x@x.test"}`},
	"message.show":          {everybody, `{"id":"x"}`},
	"message.text":          {reviewers, `{"id":"x"}`},
	"message.page":          {reviewers, `{"id":"x"}`},
	"message.part":          {reviewers, `{"id":"x","part":"1"}`},
	"glass.open":            {reviewers, `{"id":"x","why":"fault","reason":"x"}`},
	"glass.agree":           {reviewers, `{"id":"x"}`},
	"glass.end":             {reviewers, `{"id":"x"}`},
	"glass.list":            {everybody, `{}`},
	"message.trace":         {everybody, `{"message_id":"x@x.test"}`},
	"alert.list":            {everybody, `{}`},
	"alert.show":            {everybody, `{"id":"x"}`},
	"alert.acknowledge":     {operators, `{"id":"x"}`},
	"policy.keys":           {everybody, `{}`},
	"policy.show":           {everybody, `{"scope":"org"}`},
	"policy.set":            {admins, `{"scope":"org","key":"x"}`},
	"policy.unset":          {admins, `{"scope":"org","key":"x"}`},
	"dkim.list":             {everybody, `{}`},
	"dkim.show":             {everybody, `{"domain":"x"}`},
	"dkim.rotate":           {operators, `{"domain":"x"}`},
	"dkim.retire":           {operators, `{"domain":"x","selector":"x"}`},
	"dkim.revoke":           {operators, `{"domain":"x","selector":"x","reason":"x"}`},
	"webhook.create":        {operators, `{"url":"x"}`},
	"webhook.list":          {everybody, `{}`},
	"certificate.list":      {everybody, `{}`},
	"certificate.renew":     {operators, `{"name":"x.test"}`},
	"webhook.show":          {everybody, `{"id":"x"}`},
	"webhook.remove":        {operators, `{"id":"x"}`},
	"webhook.rotate":        {operators, `{"id":"x"}`},
	"webhook.enable":        {operators, `{"id":"x"}`},
	"webhook.test":          {operators, `{"id":"x"}`},
	"person.create":         {admins, `{"address":"x","password":"x"}`},
	"person.list":           {everybody, `{}`},
	"person.show":           {everybody, `{"person":"x@x.test"}`},
	"person.sessions":       {everybody, `{"person":"x@x.test"}`},
	"person.roles":          {admins, `{"person":"x@x.test"}`},
	"person.disable":        {admins, `{"person":"x@x.test"}`},
	"person.enable":         {admins, `{"person":"x@x.test"}`},
	"person.factor":         {admins, `{"person":"x@x.test"}`},
	"person.password":       {admins, `{"person":"other@example.org","new":"x"}`},
	"person.revoke":         {admins, `{"person":"other@example.org","session":"x"}`},
	"setup.gate":            {everybody, `{}`},
	"setup.enter":           {everybody, `{"link":"x"}`},
	"setup.show":            {everybody, `{}`},
	"setup.link":            {operators, `{}`},
	"setup.name":            {operators, `{"host":"x"}`},
	"setup.skip":            {operators, `{"step":"x"}`},
	"setup.finish":          {operators, `{}`},
	"setup.check":           {operators, `{}`},
	"setup.checked":         {everybody, `{}`},
	"setup.agent":           {operators, `{"name":"x","inbox":"x@x.test"}`},
	"setup.feed":            {everybody, `{"address":"x@x.test"}`},
	"doctor.changes":        {everybody, `{}`},
	"doctor":                {everybody, `{}`}, // to look anew: operators
	"setup.greet":           {operators, `{"address":"x@x.test"}`},
	"setup.admin":           {admins, `{"address":"x","password":"x"}`},
	"setup.prove":           {everybody, `{"code":"x"}`},
	"key.recovery":          {admins, `{}`},
	"key.confirm":           {admins, `{"last_four":"x"}`},
	"passkey.ask":           {everybody, `{"for":"login","origin":"https://x.test","bind":"x"}`},
	"passkey.add":           {everybody, `{"name":"x"}`},
	"passkey.list":          {everybody, `{"person":"other@example.org"}`},
	"passkey.remove":        {admins, `{"person":"other@example.org","passkey":"x"}`},
	"person.renew":          {everybody, `{"code":"x"}`},
	"person.totp-new":       {everybody, `{}`},
	"person.totp":           {everybody, `{"secret":"x","code":"x"}`},
	"person.recovery":       {everybody, `{}`},
	"person.handover":       {everybody, `{}`},
	"person.invite":         {admins, `{"person":"x@x.test"}`},
	"person.welcome":        {everybody, `{"secret":"x"}`},
	"person.login":          {everybody, `{"address":"x@x.test","password":"x"}`},
	"person.logout":         {everybody, `{}`},
	"person.whoami":         {everybody, `{}`},
}

// TestAC2_MatrixOfRoles drives every command that the server has as every kind of
// caller, over the socket: who may not is refused because of who they are, with an
// event, and who may gets any other answer.
func TestAC2_MatrixOfRoles(t *testing.T) {
	w := newWorld(t)
	w.session("other@example.org", true, storage.PersonOperator)
	callers := map[string]string{"unix": "", "bare": w.session("bare@example.org", false, storage.PersonAdmin)}
	for _, role := range []storage.PersonRole{storage.PersonAdmin, storage.PersonOperator, storage.PersonReviewer, storage.PersonAuditor} {
		callers[string(role)] = w.session(string(role)+"@example.org", true, role)
	}
	refused := 0
	w.server.made.Do(w.server.makeCommands)
	commands := slices.DeleteFunc(slices.Clone(w.server.commands), func(c string) bool { return c == "person.logout" })
	for _, command := range append(commands, "person.logout") { // the last, for it ends the sessions
		row, ok := matrix[command]
		if _, named := acts[command]; !ok || !named {
			t.Errorf("%s has no row here, or no kind of act: say who may use it", command)
			continue
		}
		for _, who := range strings.Fields(everybody) {
			rule := w.refusedTo(callers[who], command, row.request)
			if may := slices.Contains(strings.Fields(row.who), who); may != (rule == "") {
				t.Errorf("%s as %s: refused by %q, want allowed %v", command, who, rule, may)
			}
			if rule != "" {
				refused++
				w.recorded(command, rule)
			}
		}
	}
	for command := range matrix {
		if !slices.Contains(w.server.commands, command) {
			t.Errorf("the server has no command %s", command)
		}
	}
	if refused < 50 {
		t.Errorf("%d refusals: the matrix says little", refused)
	}
}

// refusedTo is the rule by which a command is refused because of who asks: empty
// when it is not, whatever else is wrong with the request.
func (w *world) refusedTo(session, command, request string) string {
	w.t.Helper()
	q, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://postern/"+command, strings.NewReader(request))
	w.must(err)
	if session != "" {
		q.Header.Set(SessionHeader, session)
	}
	r, err := w.Client.http.Do(q)
	w.must(err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	w.must(err)
	if bytes.Contains(body, []byte("not what this server understands")) {
		w.t.Fatalf("%s %s: %s", command, request, body)
	}
	var answer struct{ Error Error }
	if r.StatusCode != http.StatusForbidden || json.Unmarshal(body, &answer) != nil {
		return ""
	}
	switch noun := answer.Error.Noun; noun {
	case "session", "factor", "role":
		return noun
	case "ended":
		w.t.Fatalf("%s: the session is over", command)
	}
	return ""
}

// recorded holds that the newest event is this refusal. // AU-1
func (w *world) recorded(command, rule string) {
	w.t.Helper()
	last, err := w.store.Events(w.t.Context(), storage.EventQuery{Newest: true, Limit: 1})
	w.must(err)
	e := last[0]
	if e.Verb != audit.PersonRefused || e.Fields.Text(audit.KeyCommand) != command || e.Fields.Text(audit.KeyRule) != rule || e.Fields.Text(audit.KeyAct) == "" {
		w.t.Errorf("%s, refused by %s, left %s %v", command, rule, e.Verb, e.Fields)
	}
}

// TestSessionIsNeverTheUnixUser: a session that cannot be used refuses what the
// Unix user alone may do.
func TestSessionIsNeverTheUnixUser(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	token := w.session("ada@example.org", true, storage.PersonAdmin)
	ada := w.As(token)
	if who, err := ada.Whoami(ctx); err != nil || who.Address != "ada@example.org" || !who.Factor {
		t.Fatalf("%+v, %v", who, err)
	}
	w.must(ada.Logout(ctx))
	for _, wrong := range []string{token, " ", "none", token + "x", strings.Repeat("x", 5000)} {
		_, err := collect(w.As(wrong).Agents(ctx, AgentQuery{}))
		if e := refusal(err); err == nil || e.Code != Refused || e.Noun != "ended" {
			t.Errorf("as %.20q: %v", wrong, err)
		}
	}
	if _, err := collect(w.Agents(ctx, AgentQuery{})); err != nil {
		t.Errorf("without a session: %v", err)
	}
}
