package message

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

const usualHeader = "Return-Path: <alice@example.org>\r\n" +
	"Received: from mail.example.org (mail.example.org [192.0.2.1])\r\n\tby mx.example.com with ESMTPS id 0192f3c1-7a2b\r\n" +
	"\tfor <support@example.com>; Mon, 2 Jun 2025 10:11:12 +0200\r\n" +
	"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=2024;\r\n" +
	"\th=from:to:subject:date:message-id:mime-version:content-type;\r\n" +
	"\tbh=g3zLYH4xKxcPrHOD18z9YfpQcnk/GaJedfustWU5uGs=;\r\n" +
	"\tb=dzdVyOfAKCdLXdJOc9G2q8LoXSlEniSbav+yuU4zGeeruD00lszZVoG4ZHRNiYzR\r\n" +
	"From: Alice Example <alice@example.org>\r\n" +
	"To: Support Team <support@example.com>, Bob <bob@example.com>\r\n" +
	"Cc: carol@example.net\r\n" +
	"Subject: Re: Question about the invoice of last month\r\n" +
	"Date: Mon, 2 Jun 2025 10:11:10 +0200\r\n" +
	"Message-ID: <CAF3ab8e2f0@mail.example.org>\r\n" +
	"In-Reply-To: <20250601.1234@example.com>\r\n" +
	"References: <20250530.99@example.com> <20250601.1234@example.com>\r\n" +
	"MIME-Version: 1.0\r\nUser-Agent: Mozilla Thunderbird\r\nContent-Language: en-US\r\n"

func text(n int) string {
	const line = "The quick brown fox jumps over the lazy dog, and then it does so once more.\r\n"
	return strings.Repeat(line, n/len(line)+1)[:n-2] + "\r\n"
}

func simple4K() []byte {
	h := usualHeader + "Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
	return []byte(h + text(4096-len(h)))
}

func alternative4K() []byte {
	const b = "000000000000a1b2c3d4e5f6"
	h := usualHeader + "Content-Type: multipart/alternative; boundary=\"" + b + "\"\r\n\r\n"
	return []byte(h + "--" + b + "\r\nContent-Type: text/plain; charset=\"UTF-8\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
		text(1000) + "\r\n--" + b + "\r\nContent-Type: text/html; charset=\"UTF-8\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
		text(1500) + "\r\n--" + b + "--\r\n")
}

func attachment10M() []byte {
	const b = "000000000000a1b2c3d4e5f6"
	line := strings.Repeat("QUJD", 19) + "\r\n"
	return []byte(usualHeader + "Content-Type: multipart/mixed; boundary=\"" + b + "\"\r\n\r\n--" + b +
		"\r\nContent-Type: text/plain\r\n\r\nSee the attachment.\r\n--" + b +
		"\r\nContent-Type: application/pdf; name=\"report.pdf\"\r\nContent-Transfer-Encoding: base64\r\n" +
		"Content-Disposition: attachment; filename=\"report.pdf\"\r\n\r\n" + strings.Repeat(line, 10<<20/len(line)) + "--" + b + "--\r\n")
}

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct {
		name string
		raw  []byte
	}{
		{"simple4K", simple4K()},
		{"alternative4K", alternative4K()},
		{"attachment10M", attachment10M()},
		{"nested1000", nested(1000)},
		{"nested10000", nested(10_000)},
		{"nested100000", nested(100_000)},
		{"oneLine20M", []byte("Subject: x\r\n\r\n" + strings.Repeat("x", 20<<20))},
		{"dashes10M", []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--x\n", 10<<20/4))},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.raw)))
			b.ReportAllocs()
			r := bytes.NewReader(c.raw)
			for b.Loop() {
				Parse(r, int64(len(c.raw)))
			}
		})
	}
}

func BenchmarkStructure(b *testing.B) {
	for _, c := range []struct {
		name string
		raw  []byte
	}{{"simple", simple4K()}, {"alternative", alternative4K()}} {
		s := parse(c.raw)
		stored := s.AppendBinary(nil)
		b.Run("encode/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 4096)
			for b.Loop() {
				s.AppendBinary(buf)
			}
		})
		b.Run(fmt.Sprintf("decode/%s-%dB", c.name, len(stored)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeStructure(stored); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkContent(b *testing.B) {
	for _, encoding := range []string{"7bit", "base64", "quoted-printable"} {
		raw := []byte(text(1 << 20))
		if encoding == "base64" {
			raw = []byte(strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 13_000))
		}
		p := &Part{Type: "text", Subtype: "plain", Encoding: encoding, Body: Span{0, int64(len(raw))}}
		b.Run(encoding, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := io.Copy(io.Discard, TextReader(bytes.NewReader(raw), p)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParsePath(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePath("<support@example.com>", false); err != nil {
			b.Fatal(err)
		}
	}
}
