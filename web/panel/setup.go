package panel

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"postern/server/control"
	"postern/server/setup"
	"postern/storage"
	"postern/web/ui"
)

// The set-up, step by step. Each page is complete by itself, so that a person may come
// back to any of them; what a step makes is made by the command that the rest of the
// panel uses. Until somebody has an account, who used the link goes through them.
var setupRoutes = []route{
	{"GET /setup", false, (*visit).setup},
	{"GET /setup/{link}", true, (*visit).atSetupLink},
	{"POST /setup/{link}", true, (*visit).enterSetup},
	{"GET /setup/name", false, (*visit).setupName},
	{"POST /setup/name", false, (*visit).saveName},
	{"POST /setup/check", false, (*visit).checkSetup},
	{"GET /setup/name/watch", false, (*visit).watchSetup},
	{"GET /setup/keys", false, (*visit).setupKeys},
	{"POST /setup/keys", false, (*visit).makeRecovery},
	{"POST /setup/keys/confirm", false, (*visit).confirmRecovery},
	{"GET /setup/admin", false, (*visit).setupAdmin},
	{"POST /setup/admin", false, (*visit).makeAdmin},
	{"POST /setup/admin/code", false, (*visit).proveAdmin},
	{"GET /setup/domain", false, (*visit).setupDomain},
	{"POST /setup/domain", false, (*visit).addSetupDomain},
	{"GET /setup/agent", false, (*visit).setupAgent},
	{"POST /setup/agent", false, (*visit).makeSetupAgent},
	{"POST /setup/agent/greet", false, (*visit).greetAgent},
	{"GET /setup/agent/watch", false, (*visit).watchAgent},
	{"POST /setup/skip", false, (*visit).skipStep},
	{"GET /setup/done", false, (*visit).setupDone},
	{"POST /setup/finish", false, (*visit).finishSetup},
}

// founders are places beside the set-up where its pages lead who has no account yet.
var founders = []string{"GET /domains/{domain}/watch", "GET /domains/{domain}/zone"}

// admits reports whether a place is for who visits.
func (v *visit) admits(to route) bool {
	_, path, _ := strings.Cut(to.pattern, " ")
	return to.open || v.who.Kind == "person" ||
		v.who.Kind == "founder" && (path == "/setup" || strings.HasPrefix(path, "/setup/") || slices.Contains(founders, to.pattern))
}

// stepWords name the steps, and say what each is about.
var stepWords = map[storage.SetupStep][2]string{
	storage.SetupName:   {"Name and address", "How others find this server"},
	storage.SetupKeys:   {"Keys", "A way back when the root key is lost"},
	storage.SetupAdmin:  {"Administrator", "Who answers for it"},
	storage.SetupDomain: {"First domain", "Records, then live checks"},
	storage.SetupAgent:  {"First agent", "Inbox, token, test message"},
}

// stepPage shows a page of the set-up. here is empty at its end.
func (v *visit) stepPage(s *control.Setup, here storage.SetupStep, w ui.Wizard, body templ.Component) error {
	for _, step := range s.Steps {
		words := stepWords[step.Name]
		note := words[1]
		switch {
		case step.State == "done":
			note = v.doneNote(s, step.Name)
		case step.State == "skipped":
			note = "Skipped; it stands under Health"
		}
		w.Steps = append(w.Steps, ui.WizardStep{Name: words[0], Note: note, Path: "/setup/" + string(step.Name), Done: step.State == "done", Here: step.Name == here})
	}
	if v.who.Kind == "person" {
		w.Person = v.who.Address
		w.Note = v.who.Address
	} else {
		w.Note = "Nobody has an account yet"
	}
	if here != "" && w.Title == "" {
		w.Title = stepWords[here][0]
	}
	said := v.said.take(v.who.ID)
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if v.wrong != nil {
		v.w.WriteHeader(status(v.wrong))
	}
	return stepped(w, said, v.wrong, body).Render(v.r.Context(), v.w)
}

// doneNote says of a step what came of it.
func (v *visit) doneNote(s *control.Setup, step storage.SetupStep) string {
	switch step {
	case storage.SetupName:
		return strings.Join(append([]string{s.Host}, s.Addresses...), ", ")
	case storage.SetupKeys:
		return "Recovery key saved"
	case storage.SetupAdmin:
		return orElse(v.who.Address, "There is an account")
	case storage.SetupDomain:
		return "Added"
	}
	return "Made"
}

// state is how far the set-up is.
func (v *visit) state() (control.Setup, error) { return v.c.Setup(v.r.Context()) }

// setup leads to the first step that is open.
func (v *visit) setup() error {
	s, err := v.state()
	if err != nil {
		return err
	}
	to := "/setup/done"
	if next := s.Next(); next != "" {
		to = "/setup/" + string(next)
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// atSetupLink shows a button, whatever the link: looking at one uses nothing up, and
// says nothing about it.
func (v *visit) atSetupLink() error {
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return setupLinkPage(v.Host, v.r.URL.Path, nil).Render(v.r.Context(), v.w)
}

// enterSetup uses the link up.
func (v *visit) enterSetup() error {
	in, err := v.c.EnterSetup(v.r.Context(), v.r.PathValue("link"))
	var no *control.Error
	if errors.As(err, &no) && no.Noun == "link" {
		v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		v.w.WriteHeader(http.StatusForbidden)
		return setupLinkPage(v.Host, "", err).Render(v.r.Context(), v.w)
	}
	if err != nil {
		return err
	}
	v.admit(in.Session)
	http.Redirect(v.w, v.r, "/setup", http.StatusSeeOther)
	return nil
}

func (v *visit) setupName() error {
	s, err := v.state()
	if err != nil {
		return err
	}
	check, err := v.c.SetupChecked(v.r.Context())
	if err != nil {
		return err
	}
	return v.stepPage(&s, storage.SetupName, ui.Wizard{Lead: "Other servers find this one by its name, and look whether the name leads back to where mail comes from.",
		Command: "postern setup --host " + orElse(s.Host, "mail.example.com")}, setupNamePage(v, s, check))
}

// saveName gives the server its name, and looks then whether the network agrees.
func (v *visit) saveName() error {
	q := control.SetupName{Host: v.form("host"), Probe: v.form("probe"), Lists: v.form("lists") != "",
		Addresses: strings.FieldsFunc(v.form("addresses"), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' })}
	if v.form("try") == "" {
		q.Probe = ""
	}
	if v.form("certificates") == "letsencrypt" {
		q.Directory, q.Contact = "letsencrypt", v.form("contact")
	}
	if _, err := v.c.NameServer(v.r.Context(), q); err != nil {
		return v.again(err, (*visit).setupName)
	}
	// The page says by itself what the server is called: what is kept to be said once
	// goes with this server, which one with the new name replaces now.
	http.Redirect(v.w, v.r, "/setup/name#checks", http.StatusSeeOther)
	return nil
}

func (v *visit) checkSetup() error {
	if _, err := v.c.CheckSetup(v.r.Context()); err != nil {
		return v.again(err, (*visit).setupName)
	}
	http.Redirect(v.w, v.r, "/setup/name#checks", http.StatusSeeOther)
	return nil
}

// lookEvery is how long a page waits for the next look from the network's side: some of
// it asks strangers.
const lookEvery = 30 * time.Second

// watchSetup looks again and again while the page is open.
func (v *visit) watchSetup() error {
	out := v.events()
	for {
		check, err := v.c.CheckSetup(v.r.Context())
		if err != nil {
			return err
		}
		v.clock.Now = v.Now()
		if err := out.send("checks", findings(v, check)); err != nil {
			return err
		}
		if !out.wait(lookEvery) {
			return nil
		}
	}
}

func (v *visit) setupKeys() error {
	s, err := v.state()
	if err != nil {
		return err
	}
	return v.stepPage(&s, storage.SetupKeys, keysFrame, setupKeysPage(v, s))
}

var keysFrame = ui.Wizard{Lead: "Everything here is sealed under a root key that lies outside of the data. If that file is lost, a recovery key opens it again; without either, nothing can be read.",
	Command: "postern key recovery --file FILE"}

// makeRecovery shows a new recovery key, this once.
func (v *visit) makeRecovery() error {
	key, err := v.c.MakeRecoveryKey(v.r.Context())
	if err != nil {
		return v.again(err, (*visit).setupKeys)
	}
	s, err := v.state()
	if err != nil {
		return err
	}
	v.secret()
	return v.stepPage(&s, storage.SetupKeys, keysFrame, recoveryPage(v, key))
}

func (v *visit) confirmRecovery() error {
	if _, err := v.c.ConfirmRecoveryKey(v.r.Context(), v.form("last")); err != nil {
		return v.again(err, (*visit).setupKeys)
	}
	return v.done("/setup", "The recovery key is confirmed.")
}

func (v *visit) setupAdmin() error {
	s, err := v.state()
	if err != nil {
		return err
	}
	return v.stepPage(&s, storage.SetupAdmin, adminFrame, setupAdminPage(v, s))
}

var adminFrame = ui.Wizard{Lead: "One account for each person. What you do here is recorded under your name. Doors for mail open when somebody has an account.",
	Command: "postern setup --admin you@example.com"}

// makeAdmin makes the first account and shows its second factor, this once.
func (v *visit) makeAdmin() error {
	made, err := v.c.SetupAdmin(v.r.Context(), control.SetupAdmin{Address: v.form("username"), Password: v.r.PostFormValue("password")})
	if err != nil {
		return v.again(err, (*visit).setupAdmin)
	}
	v.admit(made.Session)
	as := v.c.As(made.Session)
	if v.who, err = as.Whoami(v.r.Context()); err != nil {
		return err
	}
	v.c = as
	s, err := v.state()
	if err != nil {
		return err
	}
	return v.stepPage(&s, storage.SetupAdmin, adminFrame, factorPage(v, made.Factor))
}

// proveAdmin takes a code of the new authenticator.
func (v *visit) proveAdmin() error {
	in, err := v.c.SetupProve(v.r.Context(), v.form("code"))
	if err != nil {
		return v.again(err, (*visit).setupAdmin)
	}
	v.admit(in.Session)
	http.Redirect(v.w, v.r, "/setup", http.StatusSeeOther)
	return nil
}

func (v *visit) setupDomain() error {
	s, err := v.state()
	if err != nil {
		return err
	}
	all, err := collect(v.c.Domains(v.r.Context(), control.Page{}))
	if err != nil {
		return err
	}
	frame := ui.Wizard{Lead: "Mail is received and sent for a domain. Postern asks its name servers itself, so that a change shows here within seconds.",
		Command: "postern domain add agents.example.com && postern domain check agents.example.com"}
	if len(all) == 0 {
		return v.stepPage(&s, storage.SetupDomain, frame, setupDomainPage(v, s, nil))
	}
	p, err := v.plan(all[0].Name)
	if err != nil {
		return err
	}
	frame.Command = "postern domain check " + p.Name
	return v.stepPage(&s, storage.SetupDomain, frame, setupDomainPage(v, s, &p))
}

func (v *visit) addSetupDomain() error {
	if _, err := v.c.AddDomain(v.r.Context(), control.DomainAdd{Name: v.form("name")}); err != nil {
		return v.again(err, (*visit).setupDomain)
	}
	return v.done("/setup/domain", v.form("name")+" is added. Publish these records next.")
}

// found is what the last step needs to know.
type found struct {
	domain string // of the inbox; empty: there is none
	agent  *control.Agent
	inbox  string // of the agent; empty: none
	feed   []control.Happened
}

func (v *visit) found() (f found, err error) {
	ctx := v.r.Context()
	domains, err := collect(v.c.Domains(ctx, control.Page{Limit: 1}))
	if err != nil {
		return f, err
	}
	if len(domains) > 0 {
		f.domain = domains[0].Name
	}
	agents, err := collect(v.c.Agents(ctx, control.AgentQuery{Page: control.Page{Limit: 1}}))
	if err != nil || len(agents) == 0 {
		return f, err
	}
	f.agent = &agents[0]
	credentials, err := collect(v.c.Credentials(ctx, control.CredentialQuery{Agent: f.agent.Name}))
	if err != nil {
		return f, err
	}
	for _, c := range credentials {
		if len(c.Scopes) > 0 {
			f.inbox = c.Scopes[0].Inbox
		}
	}
	if f.inbox != "" {
		f.feed, err = v.c.SetupFeed(ctx, f.inbox)
	}
	return f, err
}

// feedEvery is how often a page that is open looks whether something happened.
const feedEvery = time.Second

func (v *visit) setupAgent() error {
	s, err := v.state()
	if err != nil {
		return err
	}
	f, err := v.found()
	if err != nil {
		return err
	}
	return v.stepPage(&s, storage.SetupAgent, agentFrame, setupAgentPage(v, s, f))
}

var agentFrame = ui.Wizard{Lead: "An agent reads and sends by plain IMAP and SMTP, with a token of its own as the password.",
	Command: "postern setup --domain DOMAIN --agent NAME"}

// makeSetupAgent makes an agent with all that it needs, and shows its token this once.
func (v *visit) makeSetupAgent() error {
	q := control.SetupAgent{Name: v.form("name"), Inbox: v.form("local") + "@" + v.form("domain"), Owner: v.form("owner")}
	made, err := v.c.FoundAgent(v.r.Context(), q)
	if err != nil {
		return v.again(err, (*visit).setupAgent)
	}
	s, err := v.state()
	if err != nil {
		return err
	}
	return v.stepPage(&s, storage.SetupAgent, ui.Wizard{Title: "The token of " + made.Agent, Lead: "Copy it now. Only a keyed hash of it is stored; nobody, you included, can show it again."}, setupTokenPage(v, made))
}

func (v *visit) greetAgent() error {
	inbox := v.form("inbox")
	if err := v.c.Greet(v.r.Context(), inbox); err != nil {
		return v.again(err, (*visit).setupAgent)
	}
	return v.done("/setup/agent", "A message is on its way to "+inbox+".")
}

// watchAgent sends what happens in the first inbox as it happens.
func (v *visit) watchAgent() error {
	out := v.events()
	var last uint64
	for {
		f, err := v.found()
		if err != nil {
			return err
		}
		if len(f.feed) > 0 && f.feed[0].Seq != last {
			last = f.feed[0].Seq
			v.clock.Now = v.Now()
			if err := out.send("feed", agentFeed(v, f)); err != nil {
				return err
			}
		}
		if !out.wait(feedEvery) {
			return nil
		}
	}
}

func (v *visit) skipStep() error {
	if _, err := v.c.SkipSetup(v.r.Context(), storage.SetupStep(v.form("step"))); err != nil {
		return err
	}
	http.Redirect(v.w, v.r, "/setup", http.StatusSeeOther)
	return nil
}

func (v *visit) setupDone() error {
	s, err := v.state()
	if err != nil {
		return err
	}
	return v.stepPage(&s, "", ui.Wizard{Title: "Ready", Lead: doneLead(&s), Command: "postern setup --finish"}, setupDonePage(v, s))
}

func doneLead(s *control.Setup) string {
	left := 0
	for _, step := range s.Steps {
		if step.State != "done" {
			left++
		}
	}
	switch {
	case left == 0:
		return "All five steps are done."
	case s.Host == "":
		return "Without a name the server cannot receive mail. It stays as it is until it has one."
	}
	return ui.Count(left, "step") + " left for later. Health names what is missing."
}

// finishSetup ends the set-up. Who has no account cannot come in any more.
func (v *visit) finishSetup() error {
	s, err := v.c.FinishSetup(v.r.Context())
	if err != nil {
		return v.again(err, (*visit).setupDone)
	}
	if v.who.Kind == "person" {
		return v.done("/", "The set-up is done.")
	}
	v.forget()
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return finishedPage(v.Host, s).Render(v.r.Context(), v.w)
}

// findingState is how a look from the network's side ended, as a page shows it.
func findingState(s setup.FindingState) ui.State {
	switch s {
	case setup.Good:
		return ui.State{Class: "ok", Word: "OK"}
	case setup.Warn:
		return ui.State{Class: "warn", Word: "Look"}
	case setup.Bad:
		return ui.State{Class: "bad", Word: "Failing"}
	}
	return ui.State{Class: "none", Word: "Not known"}
}

// findingWords name what was looked at.
var findingWords = map[string]string{"address": "Address", "reverse": "Reverse name", "outgoing": "Port 25 out", "block-lists": "Block lists"}
