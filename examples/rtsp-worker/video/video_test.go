package video

import (
	"bytes"
	"errors"
	"testing"
)

func TestSplitAnnexB(t *testing.T) {
	got := SplitAnnexB([]byte{9, 0, 0, 1, 0x41, 2, 0, 0, 0, 1, 0x65, 0, 0, 1, 0, 0, 1, 0x68, 0})
	want := [][]byte{{0x41, 2}, {0x65}, {0x68}}
	if len(got) != len(want) {
		t.Fatalf("%v", got)
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("%d: %v", i, got[i])
		}
	}
}

func TestBits(t *testing.T) {
	b := NewBits([]byte{0b1_010_011_0, 0b0100_0010, 0, 0, 3, 0xff})
	if a, c, d, e := b.UE(), b.UE(), b.SE(), b.UE(); a != 0 || c != 1 || d != -1 || e != 3 {
		t.Errorf("%d %d %d %d", a, c, d, e)
	}
	if b.Read(4) != 0b0010 || b.Read(16) != 0 || b.Read(8) != 0xff || b.Failed() {
		t.Errorf("%+v", b)
	}
	if b.Read(1) != 0 || !b.Failed() {
		t.Error("a bit behind the end")
	}
}

func TestParamsEqual(t *testing.T) {
	a, b := &Params{Codec: H264, Config: []byte{1}}, &Params{Codec: H264, Config: []byte{1}}
	if !a.Equal(b) || a.Equal(nil) || a.Equal(&Params{Codec: H265, Config: []byte{1}}) || a.Equal(&Params{Codec: H264, Config: []byte{2}}) {
		t.Error("wrong")
	}
}

// TestSets uses a syntax of one byte for the type and one for what a set says.
func TestSets(t *testing.T) {
	const vps, sps, pps = 1, 2, 3
	says := func(nal []byte) (int, error) {
		if len(nal) < 2 {
			return 0, ErrParams
		}
		return int(nal[1]), nil
	}
	made := 0
	s := NewSets(&Syntax[int]{
		Type: func(nal []byte) int { return int(nal[0]) }, VPS: vps, SPS: sps,
		CheckVPS: func(nal []byte) error { _, err := says(nal); return err }, ParseSPS: says, PPSID: says,
		Params: func(width int, vps, sps []byte, pps [][]byte) *Params {
			made++
			return &Params{Width: width, Config: bytes.Join(append([][]byte{vps, sps}, pps...), nil)}
		},
	})
	add := func(nal ...byte) {
		t.Helper()
		if err := s.Add(nal); err != nil {
			t.Fatal(err)
		}
	}
	for _, nal := range [][]byte{{pps, 9, 1}, {sps, 7}, {pps, 9, 1}} { // the first PPS goes with the SPS that comes after it
		add(nal...)
		if s.Params() != nil {
			t.Fatal("parameters of nothing")
		}
	}
	add(vps, 5)
	add(pps, 4)
	first := s.Params()
	if first == nil || first.Width != 7 || !bytes.Equal(first.Config, []byte{vps, 5, sps, 7, pps, 4, pps, 9, 1}) {
		t.Fatalf("%+v", first)
	}
	for _, nal := range [][]byte{{vps}, {sps}, {pps}, append([]byte{pps, 9}, make([]byte, MaxSet)...)} {
		if err := s.Add(nal); !errors.Is(err, ErrParams) {
			t.Errorf("%.3v: %v", nal, err)
		}
	}
	for _, nal := range [][]byte{{vps, 5}, {sps, 7}, {pps, 4}, {pps, 9, 1}} {
		add(nal...)
	}
	if s.Params() != first || made != 1 {
		t.Error("what was refused, or known, made new parameters")
	}
	add(pps, 9, 2)
	if p := s.Params(); p == first || !bytes.HasSuffix(p.Config, []byte{pps, 9, 2}) {
		t.Errorf("%+v", p)
	}
	add(sps, 8)
	if s.Params() != nil {
		t.Error("a new SPS kept the PPS of the old one")
	}
	for id := range maxPPS {
		add(pps, byte(id))
	}
	if err := s.Add([]byte{pps, maxPPS}); !errors.Is(err, ErrParams) {
		t.Errorf("more PPS than a file holds: %v", err)
	}
}
