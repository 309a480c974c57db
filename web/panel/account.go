package panel

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image/png"

	"github.com/pquerna/otp"

	"postern/server/control"
	"postern/server/directory"
)

var accountRoutes = []route{
	{"GET /me", false, (*visit).me},
	{"GET /me/passkey", false, (*visit).askNewPasskey},
	{"POST /me/passkeys", false, (*visit).addPasskey},
	{"POST /me/passkeys/{passkey}/remove", false, (*visit).removePasskey},
	{"POST /me/password", false, (*visit).changePassword},
	{"GET /me/authenticator", false, (*visit).newAuthenticator},
	{"POST /me/authenticator", false, (*visit).setAuthenticator},
	{"POST /me/recovery", false, (*visit).renewRecovery},
	{"POST /me/handover", false, (*visit).handOver},
	{"POST /me/sessions/{session}/end", false, (*visit).endSession},
}

// account is what belongs to the person who looks.
type account struct {
	person   control.Person
	passkeys []control.Passkey
	sessions []control.PersonSession
}

// me shows how a person signs in, and their sessions.
func (v *visit) me() error {
	a, err := v.account()
	if err != nil {
		return err
	}
	return v.page("Your account", "", "postern whoami", accountPage(v, a))
}

func (v *visit) account() (a account, err error) {
	ctx := v.r.Context()
	if a.sessions, err = collect(v.c.PersonSessions(ctx, "")); err != nil {
		return a, err
	}
	if a.passkeys, err = collect(v.c.Passkeys(ctx, "")); err != nil {
		return a, err
	}
	a.person, err = v.c.Self(ctx)
	return a, err
}

// askNewPasskey answers a script with the question that it hands to the browser.
func (v *visit) askNewPasskey() error { return v.askPasskey(directory.PasskeyAdd, "") }

func (v *visit) addPasskey() error {
	done, err := v.c.AddPasskey(v.r.Context(), control.NewPasskey{Name: v.form("name"), PasskeyAnswer: v.answer("passkey", "")})
	if err != nil {
		return v.again(err, (*visit).me)
	}
	v.admit(done.Session)
	return v.done("/me", "The passkey "+done.Name+" is added.")
}

func (v *visit) removePasskey() error {
	if err := v.c.RemovePasskey(v.r.Context(), control.PasskeyRef{Passkey: v.r.PathValue("passkey")}); err != nil {
		return v.again(err, (*visit).me)
	}
	return v.done("/me", "The passkey is removed, and your other sessions have ended.")
}

func (v *visit) changePassword() error {
	q := control.PasswordChange{Old: v.r.PostFormValue("old"), New: v.r.PostFormValue("new")}
	done, err := v.c.ChangePassword(v.r.Context(), q)
	if err != nil {
		return v.again(err, (*visit).me)
	}
	v.admit(done.Session)
	return v.done("/me", "The password is changed, and your other sessions have ended.")
}

// newAuthenticator shows a secret for an authenticator, which counts when its code
// was told.
func (v *visit) newAuthenticator() error {
	f, err := v.c.ProposeTOTP(v.r.Context())
	if err != nil {
		return err
	}
	picture, err := qr(f.URI)
	if err != nil {
		return err
	}
	v.secret()
	return v.page("New authenticator", "", "", authenticatorPage(v, f.Secret, picture))
}

func (v *visit) setAuthenticator() error {
	done, err := v.c.SetTOTP(v.r.Context(), control.NewTOTP{Secret: v.form("secret"), Code: v.form("code")})
	if err != nil {
		return v.again(err, (*visit).newAuthenticator)
	}
	v.admit(done.Session)
	v.secret()
	return v.page("Recovery codes", "", "", codesPage(v, done.Recovery))
}

func (v *visit) renewRecovery() error {
	done, err := v.c.RenewRecovery(v.r.Context())
	if err != nil {
		return v.again(err, (*visit).me)
	}
	v.secret()
	return v.page("Recovery codes", "", "postern admin recovery-codes", codesPage(v, done.Recovery))
}

// handOver shows a session for the command line, this once.
func (v *visit) handOver() error {
	done, err := v.c.HandOver(v.r.Context())
	if err != nil {
		return v.again(err, (*visit).me)
	}
	v.secret()
	return v.page("Session for the command line", "", "", handedPage(v, done))
}

func (v *visit) endSession() error {
	if err := v.c.RevokeSession(v.r.Context(), control.SessionRef{Session: v.r.PathValue("session")}); err != nil {
		return v.again(err, (*visit).me)
	}
	return v.done("/me", "The session has ended.")
}

// qr is a text as a picture for a camera, as a data URL.
func qr(text string) (string, error) {
	key, err := otp.NewKeyFromURL(text)
	if err != nil {
		return "", err
	}
	picture, err := key.Image(220, 220)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = errors.Join(err, png.Encode(&b, picture))
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()), err
}
