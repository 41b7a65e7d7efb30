//! A library's bytes as the loader would see them: which segments it maps, which libraries it would load beside it, and where
//! it would look for those.
//!
//! The loader goes by program headers and the dynamic segment, and never by section headers: so do the checks here, and what
//! the two could understand in two ways is refused. Sections are read only for what is ours in them. It knows nothing of
//! paths, of who owns a file, or of what a connector is. Whatever the bytes are, it reads a bounded part of them.

use object::{
    LittleEndian, ReadRef,
    elf::{self, FileHeader64, ProgramHeader64},
    read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, SectionTable},
};

use super::library::Unfit;

/// The libraries that a connector may need. A worker has them before it is locked down.
pub const SYSTEM_LIBRARIES: &[&str] = &[
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

/// How many program headers, section headers and entries of the dynamic segment there may be. What linkers write has a
/// tenth of it.
const MOST_SEGMENTS: u16 = 128;
const MOST_SECTIONS: u32 = 4096;
const MOST_ENTRIES: u64 = 4096;

/// How long the name of a needed library may be, in bytes.
const MOST_NAME: u64 = 255;

/// The loader maps whole pages.
const PAGE: u64 = 4096;

const LITTLE: LittleEndian = LittleEndian;

type Header = FileHeader64<LittleEndian>;

/// A shared library for this machine.
pub(super) struct Elf<'data, R: ReadRef<'data>> {
    data: R,
    segments: &'data [ProgramHeader64<LittleEndian>],
    sections: SectionTable<'data, Header, R>,
}

/// A section of a file.
pub(super) struct Section<'data> {
    /// Where it stands in the file: offset and length.
    pub(super) place: (u64, u64),
    pub(super) bytes: &'data [u8],
}

impl<'data, R: ReadRef<'data>> Elf<'data, R> {
    /// Reads the headers.
    pub(super) fn parse(data: R) -> Result<Self, Unfit> {
        let no_library = || Unfit::new("is not a library, or is cut short");
        let ident = data.read_bytes_at(0, 20).map_err(|()| no_library())?;
        if ident[..4] != elf::ELFMAG {
            return Err(no_library());
        }
        let (theirs, ours) = (machine(ident), std::env::consts::ARCH);
        if theirs != ours {
            return Err(Unfit::new(format!("is built for {theirs}, this machine is {ours}"))
                .hint("build it for this machine"));
        }
        let header = Header::parse(data).map_err(|_| no_library())?;
        let kind = match header.e_type(LITTLE) {
            elf::ET_DYN => None,
            elf::ET_REL => Some("an object file"),
            elf::ET_EXEC => Some("a program"),
            elf::ET_CORE => Some("a memory image"),
            _ => Some("something else"),
        };
        if let Some(kind) = kind {
            return Err(Unfit::new(format!("is not a shared library, but {kind}")));
        }
        // The loader takes the number as it stands there.
        let count = header.e_phnum(LITTLE);
        if count > MOST_SEGMENTS {
            let text = format!("has {count} program headers; the limit is {MOST_SEGMENTS}");
            return Err(Unfit::new(text));
        }
        let segments = header.program_headers(LITTLE, data).map_err(|_| no_library())?;
        let count = header.shnum(LITTLE, data).map_err(|_| no_library())?;
        if count > MOST_SECTIONS {
            return Err(Unfit::new(format!("has {count} sections; the limit is {MOST_SECTIONS}")));
        }
        let sections = header.sections(LITTLE, data).map_err(|_| no_library())?;
        Ok(Self { data, segments, sections })
    }

    /// The section of this name, if there is one, and if it has no more bytes than this.
    pub(super) fn section(&self, name: &str, most: u64) -> Result<Option<Section<'data>>, Unfit> {
        let Some((_, section)) = self.sections.section_by_name(LITTLE, name.as_bytes()) else {
            return Ok(None);
        };
        let (offset, len) = section.file_range(LITTLE).unwrap_or_default();
        if len > most {
            return Err(Unfit::new(format!("its section {name} has {len} bytes; the limit is {most}")));
        }
        let bytes = self.data.read_bytes_at(offset, len).map_err(|()| Unfit::new("is cut short"))?;
        Ok(Some(Section { place: (offset, len), bytes }))
    }

    /// The libraries that the loader would load beside it, if it would load no other than those of the system, look for them
    /// where it always does, and leave the stack as it is.
    pub(super) fn needed(&self) -> Result<Vec<String>, Unfit> {
        self.check_segments()?;
        let mut strings = None;
        let mut names = Vec::new();
        for (tag, value) in self.dynamic()? {
            match tag {
                elf::DT_NEEDED => names.push(value),
                elf::DT_STRTAB if strings.replace(value).is_some() => {
                    return Err(malformed("its dynamic segment names two string tables"));
                }
                elf::DT_RPATH | elf::DT_RUNPATH => {
                    return Err(Unfit::new(
                        "has a run path: it would look for libraries elsewhere than the system does",
                    )
                    .hint("build it without `-rpath`"));
                }
                elf::DT_AUDIT | elf::DT_DEPAUDIT | elf::DT_CONFIG => {
                    return Err(Unfit::new("brings an auditor of its own, which the loader would run")
                        .hint("build it without `--audit` and `--depaudit`"));
                }
                elf::DT_FILTER | elf::DT_AUXILIARY => {
                    return Err(Unfit::new(
                        "is a filter: the loader would load another library in its place",
                    )
                    .hint("build it without `--filter` and `--auxiliary`"));
                }
                _ => {}
            }
        }
        let name = |offset: u64| {
            let address = strings.and_then(|strings: u64| strings.checked_add(offset));
            let name = address.and_then(|address| self.text(address));
            name.ok_or_else(|| malformed("its dynamic segment names a library without a name"))
        };
        let names = names.into_iter().map(name).collect::<Result<Vec<_>, _>>()?;
        let foreign = names.iter().find(|name| !SYSTEM_LIBRARIES.contains(&name.as_str()));
        if let Some(foreign) = foreign {
            let text = format!(
                "needs the library {}; a connector may need {} and the loader",
                foreign.escape_debug(),
                SYSTEM_LIBRARIES[..6].join(", ")
            );
            return Err(Unfit::new(text).hint("link that library statically, or do without it"));
        }
        Ok(names)
    }

    /// What is mapped lies in the file, and nothing of it over something else: then every address means one place.
    fn check_segments(&self) -> Result<(), Unfit> {
        let len = self.data.len().map_err(|()| Unfit::new("is cut short"))?;
        let mut mapped = 0;
        for segment in self.of(elf::PT_LOAD) {
            let (offset, address) = (segment.p_offset(LITTLE), segment.p_vaddr(LITTLE));
            let (in_file, in_memory) = (segment.p_filesz(LITTLE), segment.p_memsz(LITTLE));
            if offset.checked_add(in_file).is_none_or(|end| end > len) {
                return Err(Unfit::new("is cut short"));
            }
            let end = address.checked_add(in_memory).and_then(|end| end.checked_next_multiple_of(PAGE));
            let end = end.ok_or_else(|| malformed("a segment is larger than any memory"))?;
            if in_file > in_memory || offset % PAGE != address % PAGE || address / PAGE * PAGE < mapped {
                return Err(malformed("its segments lie over one another, or not at whole pages"));
            }
            mapped = end;
        }
        let mut stacks = self.of(elf::PT_GNU_STACK).peekable();
        // Where nothing is said of it, the loader makes it executable.
        let is_said = stacks.peek().is_some();
        if !is_said || stacks.any(|stack| stack.p_flags(LITTLE).0 & elf::PF_X.0 != 0) {
            return Err(Unfit::new("asks for an executable stack").hint("build it with `-z noexecstack`"));
        }
        Ok(())
    }

    fn of(&self, kind: elf::ProgramType) -> impl Iterator<Item = &'data ProgramHeader64<LittleEndian>> {
        self.segments.iter().filter(move |segment| segment.p_type(LITTLE) == kind)
    }

    /// The entries of the dynamic segment, up to the one that ends it.
    fn dynamic(&self) -> Result<Vec<(elf::DynamicTag, u64)>, Unfit> {
        let mut dynamic = self.of(elf::PT_DYNAMIC);
        let (Some(segment), None) = (dynamic.next(), dynamic.next()) else {
            return Err(malformed("it has no dynamic segment, or several"));
        };
        let size = size_of::<elf::Dyn64<LittleEndian>>() as u64;
        let len = segment.p_filesz(LITTLE);
        let count = len / size;
        if count > MOST_ENTRIES {
            return Err(malformed(&format!(
                "its dynamic segment has {count} entries; the limit is {MOST_ENTRIES}"
            )));
        }
        // The loader goes by the address.
        let place = self.place(segment.p_vaddr(LITTLE), len);
        let offset = place.filter(|offset| *offset == segment.p_offset(LITTLE));
        let offset =
            offset.ok_or_else(|| malformed("its dynamic segment is not where it says that it is"))?;
        let count = usize::try_from(count).unwrap_or_default();
        let entries: &[elf::Dyn64<LittleEndian>] =
            self.data.read_slice_at(offset, count).map_err(|()| Unfit::new("is cut short"))?;
        let end = entries.iter().position(|entry| entry.d_tag(LITTLE) == elf::DT_NULL);
        let end = end.ok_or_else(|| malformed("its dynamic segment has no end"))?;
        Ok(entries[..end].iter().map(|entry| (entry.d_tag(LITTLE), entry.d_val(LITTLE))).collect())
    }

    /// Where in the file stands what is mapped to these addresses.
    fn place(&self, address: u64, len: u64) -> Option<u64> {
        let end = address.checked_add(len)?;
        self.of(elf::PT_LOAD).find_map(|segment| {
            let first = segment.p_vaddr(LITTLE);
            let past = first.checked_add(segment.p_filesz(LITTLE))?;
            if first <= address && end <= past {
                segment.p_offset(LITTLE).checked_add(address - first)
            } else {
                None
            }
        })
    }

    /// The text at this address.
    fn text(&self, address: u64) -> Option<String> {
        let segment = self.of(elf::PT_LOAD).find(|segment| {
            let first = segment.p_vaddr(LITTLE);
            first <= address && address - first < segment.p_filesz(LITTLE)
        })?;
        let left = segment.p_filesz(LITTLE) - (address - segment.p_vaddr(LITTLE));
        let offset = self.place(address, 1)?;
        let bytes = self.data.read_bytes_at(offset, left.min(MOST_NAME + 1)).ok()?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
}

fn malformed(what: &str) -> Unfit {
    Unfit::new(format!("is malformed: {what}"))
}

/// The machine that a file is built for, by the first bytes of it.
fn machine(ident: &[u8]) -> String {
    let (is_64, is_little) = (ident[4] == elf::ELFCLASS64.0, ident[5] == elf::ELFDATA2LSB.0);
    let number = [ident[18], ident[19]];
    let number = if is_little { u16::from_le_bytes(number) } else { u16::from_be_bytes(number) };
    match (elf::Machine(number), is_64, is_little) {
        (elf::EM_X86_64, true, true) => "x86_64".to_owned(),
        (elf::EM_AARCH64, true, true) => "aarch64".to_owned(),
        (elf::EM_386, false, true) => "x86".to_owned(),
        (elf::EM_ARM, false, true) => "arm".to_owned(),
        (elf::EM_RISCV, true, true) => "riscv64".to_owned(),
        _ => format!("another machine (number {number})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This test is a program that is made as libraries are.
    fn own() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn what_is_needed_is_read_as_the_loader_reads_it() {
        let bytes = own();
        let needed = Elf::parse(bytes.as_slice()).unwrap().needed().unwrap();
        assert!(needed.iter().any(|name| name == "libc.so.6"), "{needed:?}");
    }

    /// Whatever stands in the headers, there is an answer and no panic.
    #[test]
    fn no_bytes_make_the_reader_fall() {
        let mut bytes = own();
        let place = |elf: &Elf<'_, &[u8]>| {
            let dynamic = elf.of(elf::PT_DYNAMIC).next().unwrap();
            usize::try_from(dynamic.p_offset(LITTLE)).unwrap()
        };
        let dynamic = place(&Elf::parse(bytes.as_slice()).unwrap());
        let (mut state, mut refused) = (1_u64, 0);
        for _ in 0..20_000 {
            // Any sequence will do that touches everything: this is that of a usual generator.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = usize::try_from(state >> 33).unwrap();
            let at = if number.is_multiple_of(2) { number % 1024 } else { dynamic + number % 512 };
            let before = bytes[at];
            bytes[at] = [0, 1, 0x7f, 0x80, 0xff, before ^ 1][number / 7 % 6];
            if let Err(unfit) = Elf::parse(bytes.as_slice()).and_then(|elf| elf.needed()) {
                assert!(!unfit.reason.is_empty());
                refused += 1;
            }
            bytes[at] = before;
        }
        assert!(refused > 1000, "{refused}");
        for len in (0..2048).chain([bytes.len() - 1]) {
            let _ = Elf::parse(&bytes[..len]).and_then(|elf| elf.needed());
        }
    }
}
