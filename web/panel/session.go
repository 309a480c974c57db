package panel

import (
	"errors"
	"net/http"
	"strings"

	"postern/server/control"
	"postern/server/directory"
)

// cookieName is that of the session. The prefix has browsers refuse it unless it is
// Secure, for this host alone and for all paths (RFC 6265bis, section 4.1.3.2).
const cookieName = "__Host-postern"

var sessionRoutes = []route{
	{"GET /login", true, (*visit).door},
	{"POST /login", true, (*visit).signIn},
	{"GET /enter/{link}", true, (*visit).atLink},
	{"POST /enter/{link}", true, (*visit).enterByLink},
	{"POST /logout", false, (*visit).signOut},
}

// recognize finds out who visits. A session that has ended is nobody.
func (v *visit) recognize() error {
	cookie, err := v.r.Cookie(cookieName)
	if err != nil || !directory.IsSessionToken(cookie.Value) {
		return nil
	}
	as := v.c.As(cookie.Value)
	who, err := as.Whoami(v.r.Context())
	var no *control.Error
	if errors.As(err, &no) && no.Noun == "ended" {
		v.forget()
		return nil
	}
	if err == nil {
		v.c, v.who = as, who
	}
	return err
}

// door shows the form to sign in. Until anybody has an account, the way in is a link.
func (v *visit) door() error {
	if v.who.Kind == "founder" {
		http.Redirect(v.w, v.r, "/setup", http.StatusSeeOther)
		return nil
	}
	gate, err := v.c.SetupGate(v.r.Context())
	if err != nil {
		return err
	}
	if gate.Needed {
		v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		return notSetUpPage(v.Host).Render(v.r.Context(), v.w)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if v.wrong != nil {
		v.w.WriteHeader(http.StatusForbidden)
	}
	return doorPage(v, v.r.FormValue("next")).Render(v.r.Context(), v.w)
}

// signIn begins a session.
func (v *visit) signIn() error {
	login, err := v.c.Login(v.r.Context(), control.PersonLoginRequest{
		Address: v.form("username"), Password: v.r.PostFormValue("password"), Code: v.form("code"), Client: v.r.UserAgent(), PasskeyAnswer: v.answer("passkey", v.bound())})
	if err != nil {
		return v.again(err, (*visit).door)
	}
	v.admit(login.Session)
	http.Redirect(v.w, v.r, within(v.form("next")), http.StatusSeeOther)
	return nil
}

// admit gives the browser the session. Lax: a link in a mail to a reviewer leads to
// the page and not to the door. No GET changes anything.
func (v *visit) admit(session string) {
	http.SetCookie(v.w, &http.Cookie{Name: cookieName, Value: session, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// within is a path of this panel, or its first page: nobody is sent elsewhere.
func within(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.HasPrefix(path, "/\\") || strings.ContainsAny(path, "\r\n\t") {
		return "/"
	}
	return path
}

// signOut ends the session, here and at the server.
func (v *visit) signOut() error {
	if err := v.c.Logout(v.r.Context()); err != nil {
		return err
	}
	v.forget()
	http.Redirect(v.w, v.r, "/login", http.StatusSeeOther)
	return nil
}

// forget has the browser drop the session.
func (v *visit) forget() {
	http.SetCookie(v.w, &http.Cookie{Name: cookieName, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
}
