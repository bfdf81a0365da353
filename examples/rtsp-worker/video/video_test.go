package video

import (
	"bytes"
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
