package servertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/rogpeppe/go-internal/testscript"
)

// Authenticator is a device with one passkey and the browser in front of it
// (WebAuthn, section 6), which verifies its person without asking.
type Authenticator struct {
	Counter    uint32 // of the next answer; zero: it has none, as those that are synced
	Unverified bool   // it says that it did not verify the person

	key    *ecdsa.PrivateKey
	id     []byte
	handle []byte
	host   string
}

// question is what is read of the options of WebAuthn, sections 5.4 and 5.5.
type question struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
	Selection struct {
		ResidentKey      string `json:"residentKey"`
		UserVerification string `json:"userVerification"`
	} `json:"authenticatorSelection"`
}

var base64url = base64.RawURLEncoding

// Answer answers a question that a page at an origin asks: with a new key, if it is
// one for that, otherwise with a signature.
func (a *Authenticator) Answer(options []byte, origin string) ([]byte, error) {
	var q question
	if err := json.Unmarshal(options, &q); err != nil {
		return nil, err
	}
	if q.RP.ID != "" {
		return a.create(q, origin)
	}
	return a.get(q, origin)
}

// create makes a new passkey (section 6.3.2) and attests nothing.
func (a *Authenticator) create(q question, origin string) (answer []byte, err error) {
	if q.Selection.ResidentKey != "required" || q.Selection.UserVerification != "required" {
		return nil, fmt.Errorf("the page asks for no passkey: %+v", q.Selection)
	}
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if a.handle, err = base64url.DecodeString(q.User.ID); err != nil {
		return nil, err
	}
	a.id, a.host = make([]byte, 16), q.RP.ID
	rand.Read(a.id)
	point, err := a.key.PublicKey.Bytes() // 4, X, Y
	if err != nil {
		return nil, err
	}
	cose, err := webauthncbor.Marshal(webauthncose.EC2PublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256)},
		Curve:         int64(webauthncose.P256), XCoord: point[1:33], YCoord: point[33:],
	})
	if err != nil {
		return nil, err
	}
	data := a.data(0x40) // attested credential data follows
	data = append(data, make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(append(data, a.id...), cose...)
	object, err := webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	if err != nil {
		return nil, err
	}
	client, err := clientData("webauthn.create", q.Challenge, origin)
	return a.response(map[string]any{"attestationObject": base64url.EncodeToString(object)}, client), err
}

// get signs (section 6.3.3).
func (a *Authenticator) get(q question, origin string) ([]byte, error) {
	if a.key == nil || a.host != q.RPID {
		return nil, fmt.Errorf("there is no passkey for %s here", q.RPID)
	}
	client, err := clientData("webauthn.get", q.Challenge, origin)
	if err != nil {
		return nil, err
	}
	data := a.data(0)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(data[:len(data):len(data)], hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	return a.response(map[string]any{
		"authenticatorData": base64url.EncodeToString(data), "signature": base64url.EncodeToString(signature),
		"userHandle": base64url.EncodeToString(a.handle),
	}, client), err
}

// data is authenticator data (section 6.1): the host, what was checked, the counter.
func (a *Authenticator) data(flags byte) []byte {
	host := sha256.Sum256([]byte(a.host))
	flags |= 0x01 // the person was there
	if !a.Unverified {
		flags |= 0x04
	}
	data := append(host[:], flags)
	data = binary.BigEndian.AppendUint32(data, a.Counter)
	if a.Counter > 0 {
		a.Counter++
	}
	return data
}

func clientData(kind, challenge, origin string) ([]byte, error) {
	return json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false})
}

func (a *Authenticator) response(fields map[string]any, client []byte) []byte {
	fields["clientDataJSON"] = base64url.EncodeToString(client)
	id := base64url.EncodeToString(a.id)
	text, _ := json.Marshal(map[string]any{"id": id, "rawId": id, "type": "public-key", "response": fields, "clientExtensionResults": map[string]any{}})
	return text
}

// passkey VARIABLE NAME ORIGIN answers the question of the last command with the
// authenticator of this name, which is made when there is none.
func (s *script) passkey(ts *testscript.TestScript, args []string) error {
	a := s.authenticators[args[1]]
	if a == nil {
		a = &Authenticator{Counter: 1}
		s.authenticators[args[1]] = a
	}
	var asked struct{ Options json.RawMessage }
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &asked); err != nil {
		return err
	}
	answer, err := a.Answer(asked.Options, args[2])
	ts.Setenv(args[0], string(answer))
	return err
}

// rewind NAME sets the counter of an authenticator back, as that of a copy would be.
func (s *script) rewind(_ *testscript.TestScript, args []string) error {
	s.authenticators[args[0]].Counter = 1
	return nil
}
