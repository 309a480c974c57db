package panel

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"postern/server/control"
	"postern/server/directory"
	"postern/web/ui"
)

var proofRoutes = []route{
	{"GET /me/proof", false, (*visit).askProofByPasskey},
	{"POST /me/proof", false, (*visit).goOn},
	{"GET /login/passkey", true, (*visit).askLoginByPasskey},
	{"GET " + control.InvitePath + "{secret}", true, (*visit).atInvitation},
	{"POST " + control.InvitePath + "{secret}", true, (*visit).enterByInvitation},
}

// bindName is the cookie by which an answer of a passkey is tied to the browser that
// was asked, before anybody is signed in.
const bindName = "__Host-postern-ask"

// passkeysHere reports whether the browser is where passkeys work.
func (v *visit) passkeysHere() bool {
	u, err := url.Parse(v.Site)
	host, _, split := net.SplitHostPort(v.r.Host)
	if split != nil {
		host = v.r.Host
	}
	return err == nil && v.Site != "" && strings.EqualFold(u.Hostname(), host)
}

// origin is where the page is, in the words of the browser.
func (v *visit) origin() string { return "https://" + strings.ToLower(v.r.Host) }

// answer is what a browser answered, by a field of the form.
func (v *visit) answer(name, bind string) control.PasskeyAnswer {
	text := v.form(name)
	if text == "" || !json.Valid([]byte(text)) {
		return control.PasskeyAnswer{}
	}
	return control.PasskeyAnswer{Answer: json.RawMessage(text), Origin: v.origin(), Bind: bind}
}

// askPasskey answers a script with the question that it hands to the browser.
func (v *visit) askPasskey(purpose directory.Purpose, bind string) error {
	q, err := v.c.AskPasskey(v.r.Context(), control.PasskeyAsk{For: purpose, Origin: v.origin(), Bind: bind})
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	_, err = v.w.Write(q.Options)
	return err
}

func (v *visit) askProofByPasskey() error { return v.askPasskey(directory.PasskeyProve, "") }

func (v *visit) askLoginByPasskey() error {
	bind := rand.Text()
	http.SetCookie(v.w, &http.Cookie{Name: bindName, Value: bind, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: 600})
	return v.askPasskey(directory.PasskeyLogin, bind)
}

// bound is what the browser was given with the question, and forgets now.
func (v *visit) bound() string {
	cookie, err := v.r.Cookie(bindName)
	if err != nil {
		return ""
	}
	http.SetCookie(v.w, &http.Cookie{Name: bindName, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: -1})
	return cookie.Value
}

// field is one of a form.
type field struct{ name, value string }

// proofFields are those of proofPage; they stay with it.
var proofFields = []string{"proof-code", "proof-password", "proof-passkey"}

// needsProof reports whether somebody is asked again who they are.
func needsProof(err error) bool {
	var no *control.Error
	return errors.As(err, &no) && no.Code == control.Refused && no.Noun == "proof"
}

// askProof asks a person again who they are; what they sent is sent again with it.
// A page that was asked for is asked for again then.
func (v *visit) askProof(wrong string) error {
	action, fields := v.r.URL.RequestURI(), []field(nil)
	if v.r.Method == http.MethodPost {
		for name, values := range v.r.PostForm {
			for _, value := range values {
				if !slices.Contains(proofFields, name) {
					fields = append(fields, field{name, value})
				}
			}
		}
	} else {
		action, fields = "/me/proof", []field{{"next", v.r.URL.RequestURI()}}
	}
	slices.SortStableFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	v.wrong = nil
	return v.pageAs(http.StatusForbidden, "Is it still you?", "", "postern login --renew", proofPage(v, action, fields, wrong))
}

// prove takes what a form says of who sends it, if it says anything, before what the
// form is for is done. It reports whether to go on.
func (v *visit) prove() (bool, error) {
	if v.r.Method != http.MethodPost || v.who.Kind != "person" {
		return true, nil
	}
	q := control.PersonProof{Code: v.form("proof-code"), Password: v.r.PostFormValue("proof-password"), PasskeyAnswer: v.answer("proof-passkey", "")}
	if q.Code == "" && q.Password == "" && len(q.Answer) == 0 {
		return true, nil
	}
	done, err := v.c.Renew(v.r.Context(), q)
	var no *control.Error
	if errors.As(err, &no) && no.Code == control.Refused && no.Noun != "ended" {
		return false, v.askProof(ui.Sentence(no.Message))
	}
	if err != nil {
		return false, err
	}
	v.c, v.who = v.c.As(done.Session), done.Whoami
	v.admit(done.Session)
	return true, nil
}

// goOn leads back to the page that asked.
func (v *visit) goOn() error {
	http.Redirect(v.w, v.r, within(v.form("next")), http.StatusSeeOther)
	return nil
}

// atInvitation shows a button: who looks at a link ahead of the person uses nothing up.
func (v *visit) atInvitation() error {
	_, err := v.c.Welcome(v.r.Context(), control.Welcome{Secret: v.r.PathValue("secret"), Look: true})
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return linkPage(v.Host, v.r.URL.Path).Render(v.r.Context(), v.w)
}

// enterByInvitation uses a link up, and leads to where a person sets up how they sign in.
func (v *visit) enterByInvitation() error {
	in, err := v.c.Welcome(v.r.Context(), control.Welcome{Secret: v.r.PathValue("secret"), Client: v.r.UserAgent()})
	if err != nil {
		return err
	}
	v.admit(in.Session)
	http.Redirect(v.w, v.r, "/me", http.StatusSeeOther)
	return nil
}

// What somebody has to do before anything else.
var (
	mustTitle = map[string]string{"account": "Set up how you sign in.", "factor": "Set up a second factor.", "passkey": "Add a passkey."}
	mustText  = map[string]string{
		"account": "Add a passkey, or set a password and an authenticator. Nothing else is open to you before.",
		"factor":  "This installation lets nobody do anything without a second factor: add a passkey or an authenticator.",
		"passkey": "This installation lets nobody do anything who did not sign in by a passkey. If you have one, sign in by it.",
	}
)

func passkeyState(k control.Passkey) ui.State {
	switch k.State {
	case "suspect":
		return ui.State{Class: "bad", Word: "May be copied"}
	case "elsewhere":
		return ui.State{Class: "warn", Word: "Of " + k.Host}
	}
	return ui.State{Class: "ok", Word: "Works"}
}

// shownState is what was shown in a session.
func shownState(s control.PersonSession) ui.State {
	switch {
	case s.Method == "passkey":
		return ui.State{Class: "ok", Word: "Passkey"}
	case s.Factor:
		return ui.State{Class: "ok", Word: "Second factor"}
	}
	return ui.State{Class: "warn", Word: "No second factor"}
}

func passwordNote(p control.Person) string {
	if p.Password {
		return ""
	}
	return "None is set"
}

func authenticatorNote(p control.Person) string {
	if p.Factor {
		return "Set up"
	}
	return "None is set up"
}

func authenticatorVerb(p control.Person) string {
	if p.Factor {
		return "Replace the authenticator"
	}
	return "Set up an authenticator"
}

// inviteLink is a link as people send it; where the server has no name yet, at the
// address under which the panel was found.
func inviteLink(v *visit, in control.Invitation) string {
	if in.Link != "" {
		return in.Link
	}
	return v.origin() + in.Path
}

// clientWord is what a client calls itself, short enough for a table.
func clientWord(text string) string {
	for _, name := range []string{"Firefox", "Edg", "Chrome", "Safari"} {
		if strings.Contains(text, name+"/") {
			return strings.Replace(name, "Edg", "Edge", 1)
		}
	}
	name, _, _ := strings.Cut(text, " ")
	return name[:min(len(name), 24)]
}
