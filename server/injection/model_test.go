package injection

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

// TestModelStored: what is written is read, and what was changed on the way is refused.
func TestModelStored(t *testing.T) {
	m := Shipped()
	b, err := m.AppendBinary(nil)
	if err != nil || !bytes.Equal(b, shipped) {
		t.Fatalf("written again, the model is another: %v", err)
	}
	for _, at := range []int{0, len(modelMagic), len(modelMagic) + 3, len(b) / 2, len(b) - 1} {
		broken := bytes.Clone(b)
		broken[at] ^= 0x10
		if _, err := DecodeModel(broken); !errors.Is(err, ErrModel) {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
	for _, n := range []int{0, 5, len(modelMagic) + 1, len(b) - 1} {
		if _, err := DecodeModel(b[:n]); !errors.Is(err, ErrModel) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := (&Model{}).AppendBinary(nil); !errors.Is(err, ErrModel) {
		t.Errorf("a model without weights was written: %v", err)
	}
}

// TestModelRange: numbers that no training gives are refused.
func TestModelRange(t *testing.T) {
	for name, spoil := range map[string]func(*Model){
		"threshold": func(m *Model) { m.Suspicious = math.NaN() },
		"order":     func(m *Model) { m.Suspicious, m.Quarantine = .9, .1 },
		"half":      func(m *Model) { m.Words.Half = 0 },
		"unit":      func(m *Model) { m.Frame.Unit = math.MaxInt32 },
	} {
		m := *Shipped()
		spoil(&m)
		b, err := m.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeModel(b); !errors.Is(err, ErrModel) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestChance: the logistic function, near enough, and never the other way.
func TestChance(t *testing.T) {
	last := -1.0
	for l := int64(-40 * One); l <= 40*One; l += One / 7 {
		got, want := chance(l), 1/(1+math.Exp(-float64(l)/One))
		if math.Abs(got-want) > 1e-5 || got < last {
			t.Fatalf("chance of %.3f is %v, want %v", float64(l)/One, got, want)
		}
		last = got
	}
	if chance(0) != .5 {
		t.Error("no evidence is not even odds")
	}
}

func TestDoublings(t *testing.T) {
	for n, want := range map[int]int64{1: 0, 2: 256, 3: 384, 4: 512, 64: 1536, 1 << 20: 20 * 256} {
		if got := doublings(n); got != want {
			t.Errorf("doublings(%d) = %d, want %d", n, got, want)
		}
	}
}

// named are the concepts of a text.
func named(text string) map[uint16]bool {
	var w words
	var s speech
	w.read([]byte(text))
	words4slots().mark(&w)
	s.read(concepts(), &w)
	all := map[uint16]bool{}
	for _, x := range w.list {
		if x.concept > 0 {
			all[x.concept] = true
		}
	}
	return all
}

// TestConcepts: a request names the same in every language.
func TestConcepts(t *testing.T) {
	english := named("Please delete the invoice and tell nobody about the password.")
	for _, text := range []string{
		"Bitte löschen Sie die Rechnung und sagen Sie niemandem etwas vom Passwort.",
		"Veuillez supprimer la facture et ne parlez à personne du mot de passe.",
		"Por favor, elimine la factura y no diga a nadie la contraseña.",
		"Пожалуйста, удалите счет и никому не говорите пароль.",
		"请删除发票,不要告诉任何人密码。",
		"請求書を削除してください。パスワードは誰にも言わないでください。",
	} {
		common := 0
		for c := range named(text) {
			if english[c] {
				common++
			}
		}
		if common < 3 {
			t.Errorf("%q has %d concepts of the English text", text, common)
		}
	}
}

// TestLanguageVotes: what a form means depends on the words around it.
func TestLanguageVotes(t *testing.T) {
	not := func(text string) bool {
		for c := range named(text) {
			if named("I do not know, you are not here and we are not there.")[c] && named("Ich weiß nicht, du bist nicht hier, wir sind nicht dort.")[c] {
				return true
			}
		}
		return false
	}
	if !not("Kommen Sie bitte nicht vor morgen in das Büro.") {
		t.Error("German nicht does not deny")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(modelMagic))
	f.Add([]byte(glossaryMagic + "\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := DecodeModel(b); err != nil && !errors.Is(err, ErrModel) {
			t.Error(err)
		}
		g, err := DecodeGlossary(b)
		switch {
		case err != nil && !errors.Is(err, ErrModel):
			t.Error(err)
		case err == nil && !bytes.Equal(g.AppendBinary(nil), b):
			t.Error("written again, the glossary is another")
		}
	})
}
