"""Segments become the output: one file with the sound and the subtitles of the source, or an animation, or pictures."""

from __future__ import annotations

import heapq
import itertools
import shutil
from contextlib import ExitStack
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av
from PIL import Image

from impasto.errors import OutputError
from impasto.video.footage import opened
from impasto.video.writing import lossless
from impasto.whole import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from av.container import InputContainer, OutputContainer

    from impasto.video.footage import Footage
    from impasto.video.writing import Encoding

    #: Seconds, a number that keeps those of one time in their order, and what is written then.
    Timed = tuple[Fraction, int, Callable[[], None]]

_BROKEN = (av.error.FFmpegError, OSError, ValueError)
#: What sound becomes where the output cannot hold the source's.
_AUDIO: Final = {"webm": "libopus"}
_AUDIO_ELSEWHERE: Final = "aac"
#: What of the source's description is taken over.
_TOLD: Final = ("title", "artist", "date", "copyright", "language", "creation_time")


def join(
    output: Path,
    segments: Sequence[Path],
    footage: Footage,
    encoding: Encoding,
    *,
    complete: bool,
    recipe: str | None = None,
) -> list[str]:
    """Write the output, whole or not at all.

    Args:
        output: what to write.
        segments: in their order; one that ends in the middle counts as far as it goes.
        footage: where sound and subtitles come from.
        encoding: of the segments.
        complete: whether sound goes on behind the last frame as in the source; else it ends with it.
        recipe: kept in the file as its comment.

    Returns:
        What could not be taken over as it was, in sentences.

    Raises:
        OutputError: it cannot be written there; what was there is untouched.
    """
    if lossless(encoding):
        _pictures(output, segments, encoding)
        return []
    try:
        with replacing(output) as temporary, ExitStack() as stack:
            options = {"movflags": "+faststart"} if encoding.container in ("mp4", "mov") else {}
            made = stack.enter_context(av.open(str(temporary), "w", format=encoding.container, options=options))
            return _Joining(made, segments, footage, encoding, stack).written(complete=complete, recipe=recipe)
    except av.error.FFmpegError as error:
        reason = error.strerror or error
        raise OutputError(
            f"cannot write {str(output)!r}: {reason}; nothing was changed; free some space or choose another folder"
        ) from None


class _Joining:
    """One output file while it is written."""

    def __init__(
        self,
        made: OutputContainer,
        segments: Sequence[Path],
        footage: Footage,
        encoding: Encoding,
        stack: ExitStack,
    ) -> None:
        self._made, self._segments, self._footage, self._encoding = made, segments, footage, encoding
        self._stack = stack
        self._notes: list[str] = []
        with opened(segments[0]) as first:
            template = first.streams.video[0]
            self._stream = made.add_stream_from_template(template)
            self._stream.time_base = encoding.time_base
            self._start = next(p.pts * p.time_base for p in first.demux(template) if p.pts is not None and p.time_base)
        if encoding.codec == "hevc" and encoding.container in ("mp4", "mov"):
            self._stream.codec_context.codec_tag = "hvc1"  # what Apple's players look for
        if encoding.codec == "vp9" and encoding.alpha:
            self._stream.metadata["alpha_mode"] = "1"
        last = max((p.pts * p.time_base for p in self._video_packets() if p.pts is not None), default=self._start)
        self._end = last + 1 / footage.rate

    def written(self, *, complete: bool, recipe: str | None) -> list[str]:
        """Write all packets in the order of their times; gives the notes."""
        tracks: list[Iterator[Timed]] = [self._video()]
        if self._footage.kind == "container" and (self._footage.audio or self._footage.subtitles):
            source = self._stack.enter_context(opened(self._footage.path))
            tracks += self._others(source, None if complete else self._end)
            for name in _TOLD:
                if name in source.metadata:
                    self._made.metadata[name] = source.metadata[name]
        if recipe is not None:
            self._made.metadata["comment"] = recipe
        for _, _, write in heapq.merge(*tracks, key=lambda timed: timed[:2]):
            write()
        return self._notes

    def _video_packets(self) -> Iterator[av.Packet[Any]]:
        """Of all segments, as far as each goes."""
        for path in self._segments:
            with opened(path) as segment:
                try:
                    for packet in segment.demux(segment.streams.video[0]):
                        if packet.size:
                            yield packet
                except _BROKEN:  # an ended run left it in the middle of a packet
                    continue

    def _video(self) -> Iterator[Timed]:
        for packet in self._video_packets():
            yield self._moved(packet, self._stream, 0, self._start)

    def _others(self, source: InputContainer, end: Fraction | None) -> list[Iterator[Timed]]:
        """Tracks of sound and subtitles, with the notes of what cannot be."""
        tracks = []
        shift = self._footage.origin * self._footage.time_base + self._start
        until = None if end is None else self._footage.origin * self._footage.time_base + end
        for number, stream in enumerate([*source.streams.audio, *source.streams.subtitles], start=1):
            name = stream.codec_context.name if stream.codec_context else ""
            # Each track reads on its own: packets of the others would pile up otherwise.
            reader = self._stack.enter_context(opened(self._footage.path))
            track = reader.streams[stream.index]
            if name in self._made.supported_codecs:
                try:
                    target = self._made.add_stream_from_template(track)
                except _BROKEN:
                    self._notes.append(f"a track ({name}) of {self._footage.name} was left out: it cannot be copied")
                    continue
                target.metadata.update({key: value for key, value in track.metadata.items() if key in _TOLD})
                tracks.append(self._copied(reader, track, target, number, shift, until))
            elif stream.type == "audio":
                codec = _AUDIO.get(self._encoding.container, _AUDIO_ELSEWHERE)
                target = self._made.add_stream(codec, rate=48000)
                self._notes.append(f"sound ({name}) was coded anew as {codec}, which such files hold")
                tracks.append(self._recoded(reader, track, target, number, shift, until))
            else:
                self._notes.append(f"subtitles ({name}) were left out: such files do not hold them; use .mkv")
        return tracks

    def _copied(
        self, reader: InputContainer, track: Any, target: Any, number: int, shift: Fraction, until: Fraction | None
    ) -> Iterator[Timed]:
        """Packets of a track between the first frame and the last, their times counted from the first frame."""
        if shift > 0:
            reader.seek(int(shift / track.time_base), stream=track, backward=True)
        try:
            for packet in reader.demux(track):
                if packet.pts is None or not packet.size or not packet.time_base:
                    continue
                at = packet.pts * packet.time_base
                if at + (packet.duration or 0) * packet.time_base <= shift:
                    continue
                if until is not None and at >= until:
                    return
                yield self._moved(packet, target, number, shift)
        except _BROKEN:
            self._notes.append(f"a track of {self._footage.name} ends in the middle")

    def _recoded(
        self, reader: InputContainer, track: Any, target: Any, number: int, shift: Fraction, until: Fraction | None
    ) -> Iterator[Timed]:
        """Sound of a track, decoded and coded anew."""
        resampler = av.AudioResampler(
            format=target.codec_context.format, layout="stereo", rate=target.codec_context.rate
        )
        if shift > 0:
            reader.seek(int(shift / track.time_base), stream=track, backward=True)
        at = Fraction(0)
        try:
            for frame in reader.decode(track):
                time = (frame.pts or 0) * frame.time_base
                if time + Fraction(frame.samples, frame.sample_rate) <= shift:
                    continue
                if until is not None and time >= until:
                    break
                frame.pts = int((time - shift) / frame.time_base)
                at = time - shift
                for piece in resampler.resample(frame):
                    for packet in target.encode(piece):
                        yield at, number, lambda packet=packet: self._made.mux(packet)  # type: ignore[misc]
            for packet in target.encode(None):
                yield at, number, lambda packet=packet: self._made.mux(packet)  # type: ignore[misc]
        except _BROKEN:
            self._notes.append(f"sound of {self._footage.name} ends in the middle")

    def _moved(self, packet: av.Packet[Any], target: Any, number: int, shift: Fraction) -> Timed:
        """A packet for the output, its times counted from the first frame."""
        base = packet.time_base
        assert base is not None and packet.pts is not None  # noqa: S101, PT018 — looked at before
        moved = round(shift / base)
        packet.pts -= moved
        packet.dts = packet.pts if packet.dts is None else packet.dts - moved
        at = packet.dts * base
        packet.stream = target

        def write() -> None:
            self._made.mux(packet)

        return at, number, write


def _pictures(output: Path, segments: Sequence[Path], encoding: Encoding) -> None:
    """An animation or numbered pictures from lossless segments; one frame at a time is in memory."""
    if encoding.container == "pictures":
        folder = output.with_name(f".{output.name}.tmp")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir()
            for index, (_, image) in enumerate(_images(segments, encoding), start=1):
                image.save(folder / f"{index:06}.png")
            shutil.rmtree(output, ignore_errors=True)
            folder.replace(output)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise OutputError(
                f"cannot write {str(output)!r}: {error.strerror or error}; free some space or choose another folder"
            ) from None
        return
    durations = _durations(segments, encoding)
    images = (image for _, image in _images(segments, encoding))
    first = next(images)
    with replacing(output) as temporary:
        first.save(
            temporary,
            format=encoding.container.upper(),
            save_all=True,
            append_images=images,
            duration=durations,
            loop=0,
            **({"quality": 90, "method": 2} if encoding.container == "webp" else {"disposal": 2}),
        )


def _images(segments: Sequence[Path], encoding: Encoding) -> Iterator[tuple[int, Image.Image]]:
    """Times in units of the time base, and pictures."""
    for path in segments:
        with opened(path) as segment:
            try:
                for frame in segment.decode(video=0):
                    image = Image.fromarray(frame.to_ndarray(format="rgba" if encoding.alpha else "rgb24"))
                    yield frame.pts or 0, image
            except _BROKEN:  # an ended run left it in the middle of a packet
                continue


def _durations(segments: Sequence[Path], encoding: Encoding) -> list[int]:
    """How long each frame is shown, whole milliseconds whose sum does not drift."""
    times = []
    for path in segments:
        with opened(path) as segment:
            stream = segment.streams.video[0]
            times += [p.pts * p.time_base for p in segment.demux(stream) if p.pts is not None and p.time_base]
    times.append(times[-1] + 1 / encoding.rate)
    marks = [round(time * 1000) for time in times]
    return [max(1, later - earlier) for earlier, later in itertools.pairwise(marks)]
