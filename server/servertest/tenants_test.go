package servertest_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	door "postern/server/control"
	"postern/server/directory"
	"postern/server/servertest"
	"postern/storage"
)

// lookups are requests at the control socket that name something, by command; what
// they name is AGENT, CREDENTIAL, DOMAIN, INBOX, QUEUED, MESSAGE, PERSON or ANY id. None of
// them may tell what belongs to another organization from what does not exist.
var lookups = map[string][]string{
	"agent.create":          {`{"name":"mole","owner":"ada@example.com","inboxes":["INBOX"]}`},
	"agent.show":            {`{"agent":"AGENT"}`},
	"agent.day":             {`{"agent":"AGENT"}`},
	"agent.suspend":         {`{"agent":"AGENT","reason":"x"}`},
	"agent.resume":          {`{"agent":"AGENT","reason":"x"}`},
	"agent.decommission":    {`{"agent":"AGENT","reason":"x"}`},
	"alert.show":            {`{"id":"ANY"}`},
	"alert.acknowledge":     {`{"id":"ANY","reason":"x"}`},
	"audit.list":            {`{"agent":"AGENT"}`, `{"credential":"CREDENTIAL"}`, `{"inbox":"INBOX"}`, `{"message_id":"MESSAGE"}`},
	"audit.explore":         {`{"query":"agent:AGENT","counts":true}`, `{"query":"credential:CREDENTIAL"}`, `{"query":"inbox:INBOX"}`},
	"audit.verify":          nil, // names nothing, and tells hashes of the whole log
	"audit.export":          {`{"agent":"AGENT"}`, `{"credential":"CREDENTIAL"}`, `{"inbox":"INBOX"}`},
	"backup.create":         {},
	"backup.verified":       {},
	"credential.create":     {`{"agent":"AGENT","scopes":[{"inbox":"own@alpha.test","verbs":["read"]}]}`, `{"agent":"scout","scopes":[{"inbox":"INBOX","verbs":["read"]}]}`},
	"credential.list":       {`{"agent":"AGENT"}`},
	"credential.show":       {`{"credential":"CREDENTIAL"}`},
	"credential.rotate":     {`{"credential":"CREDENTIAL","overlap":60}`},
	"credential.revoke":     {`{"credential":"CREDENTIAL","reason":"x"}`},
	"credential.activity":   {`{"credential":"CREDENTIAL"}`},
	"credential.report":     {`{"agent":"AGENT"}`, `{}`},
	"domain.show":           {`{"name":"DOMAIN"}`},
	"domain.records":        {`{"name":"DOMAIN"}`},
	"domain.check":          {`{"name":"DOMAIN"}`},
	"domain.checked":        {`{"name":"DOMAIN"}`},
	"domain.remove":         {`{"name":"DOMAIN"}`},
	"dkim.list":             {`{}`},
	"dkim.show":             {`{"domain":"DOMAIN"}`},
	"dkim.rotate":           {`{"domain":"DOMAIN"}`},
	"dkim.retire":           {`{"domain":"DOMAIN","selector":"x"}`},
	"dkim.revoke":           {`{"domain":"DOMAIN","selector":"x","reason":"x"}`},
	"freeze.set":            {`{"kind":"agent","name":"AGENT","reason":"x"}`, `{"kind":"credential","name":"CREDENTIAL","reason":"x"}`, `{"kind":"domain","name":"DOMAIN","reason":"x"}`},
	"freeze.lift":           {`{"kind":"agent","name":"AGENT","reason":"x"}`, `{"kind":"credential","name":"CREDENTIAL","reason":"x"}`, `{"kind":"domain","name":"DOMAIN","reason":"x"}`},
	"inbox.create":          {`{"address":"x@DOMAIN"}`},
	"inbox.show":            {`{"address":"INBOX"}`},
	"inbox.remove":          {`{"address":"INBOX"}`},
	"report.list":           {`{"domain":"DOMAIN"}`},
	"report.show":           {`{"domain":"DOMAIN"}`},
	"message.list":          {`{"inbox":"INBOX"}`},
	"message.show":          {`{"id":"ANY"}`, `{"id":"ANY","inbox":"INBOX"}`},
	"message.text":          {`{"id":"ANY"}`},
	"message.page":          {`{"id":"ANY"}`},
	"message.part":          {`{"id":"ANY","part":"1"}`},
	"glass.open":            {`{"id":"ANY","inbox":"INBOX","why":"fault","reason":"x"}`},
	"glass.agree":           {`{"id":"ANY"}`},
	"glass.end":             {`{"id":"ANY"}`},
	"glass.list":            {`{}`},
	"message.trace":         {`{"message_id":"MESSAGE"}`},
	"approval.list":         {`{}`},
	"approval.decisions":    {`{}`},
	"approval.show":         {`{"id":"ANY"}`},
	"approval.release":      {`{"id":"ANY"}`},
	"approval.reject":       {`{"id":"ANY"}`},
	"allow.add":             {`{"inbox":"INBOX","sender":"a.test","reason_code":"partner","reason":"x"}`},
	"allow.list":            {`{}`, `{"inbox":"INBOX"}`},
	"allow.remove":          {`{"id":"ANY","reason":"x"}`},
	"message.mark":          {`{"id":"ANY","label":"harmless","reason":"x"}`},
	"message.marks":         {`{}`},
	"injection.evaluate":    {`{}`},
	"injection.report":      {`{"inbox":"INBOX"}`},
	"injection.replay":      {`{}`, `{"inbox":"INBOX"}`, `{"domain":"DOMAIN"}`, `{"apply":true,"reason":"x"}`},
	"injection.model":       {`{}`},
	"quarantine.list":       {`{}`, `{"inbox":"INBOX"}`},
	"quarantine.scores":     {`{}`},
	"quarantine.show":       {`{"id":"ANY"}`, `{"id":"ANY","content":true,"reason":"x"}`},
	"quarantine.release":    {`{"id":"ANY","reason":"x"}`},
	"quarantine.reject":     {`{"id":"ANY","reason":"x"}`},
	"queue.show":            {`{"id":"QUEUED"}`},
	"queue.retry":           {`{"id":"QUEUED","reason":"x"}`},
	"queue.hold":            {`{"id":"QUEUED","reason":"x"}`},
	"queue.release":         {`{"id":"QUEUED","reason":"x"}`},
	"queue.bounce":          {`{"id":"QUEUED","reason":"x"}`},
	"policy.keys":           {`{}`},
	"policy.show":           {`{"scope":"agent:AGENT"}`, `{"scope":"credential:CREDENTIAL"}`, `{"scope":"domain:DOMAIN"}`, `{"scope":"inbox:INBOX"}`},
	"policy.set":            {`{"scope":"agent:AGENT","key":"messages-per-day","value":"5"}`, `{"scope":"credential:CREDENTIAL","key":"messages-per-day","value":"5"}`, `{"scope":"domain:DOMAIN","key":"messages-per-day","value":"5"}`, `{"scope":"inbox:INBOX","key":"messages-per-day","value":"5"}`},
	"policy.unset":          {`{"scope":"agent:AGENT","key":"messages-per-day"}`, `{"scope":"credential:CREDENTIAL","key":"messages-per-day"}`, `{"scope":"domain:DOMAIN","key":"messages-per-day"}`, `{"scope":"inbox:INBOX","key":"messages-per-day"}`},
	"person.show":           {`{"person":"PERSON"}`},
	"person.roles":          {`{"person":"PERSON","roles":["auditor"]}`},
	"person.disable":        {`{"person":"PERSON","reason":"x"}`},
	"person.enable":         {`{"person":"PERSON"}`},
	"person.factor":         {`{"person":"PERSON"}`},
	"person.password":       {`{"person":"PERSON","new":"correct-horse-battery"}`},
	"person.sessions":       {`{"person":"PERSON"}`},
	"person.revoke":         {`{"person":"PERSON","session":"ANY"}`},
	"person.list":           {`{}`},
	"person.whoami":         {`{}`},
	"setup.gate":            {`{}`},
	"setup.show":            {`{}`},
	"setup.enter":           nil, // names nothing; every refusal has the same words
	"setup.link":            {`{}`},
	"setup.name":            {`{"host":"DOMAIN"}`},
	"setup.skip":            {`{"step":"keys"}`},
	"setup.finish":          {`{}`},
	"setup.check":           nil, // names nothing; asks about this server
	"setup.checked":         {`{}`},
	"setup.agent":           nil, // says that an address is taken, as inbox.create does
	"setup.feed":            {`{"address":"INBOX"}`},
	"doctor":                {`{}`},
	"doctor.changes":        {`{}`},
	"setup.greet":           {`{"address":"INBOX"}`},
	"setup.admin":           nil, // as person.create
	"setup.prove":           nil, // names nothing, in one's own session
	"key.recovery":          nil, // names nothing, and tells another key each time
	"key.confirm":           {`{"last_four":"ABCD"}`},
	"person.invite":         {`{"person":"PERSON"}`},
	"passkey.list":          {`{"person":"PERSON"}`},
	"passkey.remove":        {`{"person":"PERSON","passkey":"ANY"}`},
	"passkey.ask":           nil, // names nothing but a host
	"passkey.add":           nil, // is about who asks
	"person.renew":          nil, // is about who asks
	"person.totp-new":       nil, // is about who asks
	"person.totp":           nil, // is about who asks
	"person.recovery":       nil, // is about who asks, and changes it
	"person.handover":       nil, // is about who asks
	"person.welcome":        {`{"secret":"ANY"}`},
	"person.create":         nil, // says that an address is taken, whoever has it: it is one for the whole server
	"person.login":          nil, // names no organization; every refusal has the same words
	"person.logout":         nil, // names nothing, and ends the session of this test
	"webhook.create":        nil, // names nothing that is here
	"webhook.list":          {`{}`},
	"webhook.show":          {`{"id":"ANY"}`},
	"webhook.remove":        {`{"id":"ANY"}`},
	"webhook.rotate":        {`{"id":"ANY","overlap":60}`},
	"webhook.enable":        {`{"id":"ANY"}`},
	"webhook.test":          {`{"id":"ANY"}`},
	"captured.list":         {`{}`},
	"captured.show":         {`{"id":"ANY"}`},
	"agent.list":            {`{}`},
	"alert.list":            {`{}`},
	"domain.list":           {`{}`},
	"freeze.list":           {`{}`},
	"certificate.list":      {`{}`},
	"certificate.renew":     {`{"name":"mta-sts.DOMAIN"}`},
	"inbox.list":            {`{}`},
	"queue.day":             {`{}`},
	"queue.list":            {`{}`},
	"audit.key":             {`{}`},
	"health":                {`{}`},
	"overview":              {`{}`},
	"counters":              {`{}`},
	"counters.watch":        {`{}`},
	"domain.add":            nil, // says that a domain is taken, whoever has it: DNS does too
	"credential.rotate-due": {`{"within":99999999,"overlap":60}`},
}

// TestAC19_Tenants: at the control socket of one organization, every lookup of what
// belongs to another answers as for what does not exist, and no list shows it.
func TestAC19_Tenants(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := lab(t, dir, "scout")
	org := neighbour(t, p)
	theirs := strangers(t, p, org)
	for _, command := range controlCommands(t) {
		requests, ok := lookups[command]
		if !ok {
			t.Errorf("no request of this test says %s: add one, with what it names", command)
		}
		for _, request := range requests {
			foreign, _ := controlAsk(t, dir, p.Admin.Session, command, named(request, theirs))
			nobodys, _ := controlAsk(t, dir, p.Admin.Session, command, named(request, nothing))
			if plainly(foreign, theirs) != plainly(nobodys, nothing) {
				t.Errorf("%s %s: of another organization: %.300s\nof nobody: %.300s", command, request, foreign, nobodys)
			}
			if request == "{}" && mentions(foreign, theirs) {
				t.Errorf("%s shows what belongs to another organization: %.300s", command, foreign)
			}
		}
	}
}

// nothing are names of every kind that stand for nothing.
var nothing = map[string]string{"AGENT": "0190a1b2-0000-7000-8000-000000000001", "CREDENTIAL": "0190a1b2-0000-7000-8000-000000000002", "DOMAIN": "zeta.test", "INBOX": "nobody@zeta.test",
	"QUEUED": "0190a1b2-0000-7000-8000-000000000003", "MESSAGE": "nothing@zeta.test", "ANY": "0190a1b2-0000-7000-8000-000000000004", "PERSON": "nobody@people.test"}

// strangers makes, in another organization, one of everything.
func strangers(t *testing.T, p *servertest.Postern, org storage.Organization) map[string]string {
	t.Helper()
	d, ctx := p.Server().Directory(), t.Context()
	in, err := d.Inbox(ctx, org.ID, "rival@beta.test")
	fatal(t, err)
	agent, err := d.CreateAgent(ctx, storage.System, org.ID, "rival", "owner@beta.test", "")
	fatal(t, err)
	c, secret, err := d.CreateCredential(ctx, storage.System, org.ID, directory.CredentialSpec{Agent: agent.ID, Scopes: []storage.Scope{{Inbox: in.ID, Verbs: 31}}})
	fatal(t, err)
	p.Agents["rival"] = &servertest.Agent{Name: "rival", Address: in.Address, Token: secret, Agent: agent, Inbox: in, Credential: c}
	s := submitter(t, p, "rival")
	if r := s.submit("rival@beta.test", "ada@away.test", "From: rival@beta.test\r\nMessage-ID: <secret@beta.test>\r\nSubject: secret\r\n\r\nx\r\n"); r[:3] != "250" {
		t.Fatal(r)
	}
	person, _, err := d.CreatePerson(ctx, storage.System, org.ID, directory.PersonSpec{Address: "rival@people.test", Roles: []storage.PersonRole{storage.PersonAdmin}})
	fatal(t, err)
	theirs := map[string]string{"PERSON": person.Address, "AGENT": agent.ID.String(), "CREDENTIAL": c.ID.String(), "DOMAIN": "beta.test", "INBOX": "rival@beta.test", "MESSAGE": "secret@beta.test", "ANY": agent.ID.String(),
		"QUEUED": uuid.NewString()}
	if rows, err := p.Server().Store().Outgoings(ctx, org.ID, uuid.Nil, 10); err == nil && len(rows) > 0 {
		theirs["QUEUED"] = rows[0].ID.String()
	}
	return theirs
}

func named(request string, names map[string]string) string {
	for kind, name := range names {
		request = strings.ReplaceAll(request, kind, name)
	}
	return request
}

// plainly is an answer with the names that it was asked about taken out.
func plainly(answer string, names map[string]string) string {
	for _, kind := range []string{"PERSON", "INBOX", "MESSAGE", "AGENT", "CREDENTIAL", "QUEUED", "ANY", "DOMAIN"} { // a domain is in the first two
		answer = strings.ReplaceAll(answer, names[kind], kind)
	}
	return changing.ReplaceAllString(answer, "…")
}

// changing is what differs between two answers that are the same.
var changing = regexp.MustCompile(`"[a-z_]*(at|time|id|seq|size|secret|uptime|events|count|free)[a-z_]*":[^,}\]]*|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]*Z|ANY|AGENT|CREDENTIAL|QUEUED`)

func mentions(answer string, names map[string]string) bool {
	for _, name := range names {
		if strings.Contains(answer, name) {
			return true
		}
	}
	return strings.Contains(answer, "rival")
}

// controlCommands are those that the server has, by its source.
func controlCommands(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob("../control/*.go")
	fatal(t, err)
	command := regexp.MustCompile(`\b(?:answer|lines|stream)\(s, "([a-z.-]+)"`)
	for _, f := range files {
		data, err := os.ReadFile(f)
		fatal(t, err)
		for _, m := range command.FindAllSubmatch(data, -1) {
			if !bytes.HasSuffix(m[1], []byte(".")) {
				all = append(all, string(m[1]))
			}
		}
	}
	slices.Sort(all)
	return append(all, "queue.retry", "queue.hold", "queue.release", "queue.bounce")
}

// controlAsk says one command at the control socket of a server in dir, in a
// person's session.
func controlAsk(t *testing.T, dir, session, command, request string) (answer string, status int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "control.sock"))
	}}}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://postern/"+command, strings.NewReader(request))
	fatal(t, err)
	q.Header.Set(door.SessionHeader, session)
	r, err := client.Do(q)
	fatal(t, err)
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	fatal(t, err)
	return string(data), r.StatusCode
}
