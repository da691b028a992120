//! The terminal while the calls are watched.

use std::io::{self, Write};
use std::thread;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute, queue};
use tokio::sync::mpsc;

/// A screen of its own. Dropping it gives the terminal back as it was.
#[derive(Debug)]
pub(super) struct Screen(());

impl Screen {
    /// Takes the terminal. The channel tells when somebody wants to end.
    pub(super) fn open() -> io::Result<(Screen, mpsc::Receiver<()>)> {
        terminal::enable_raw_mode()?;
        let screen = Screen(());
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        let (quit, wanted) = mpsc::channel(1);
        // Waits for keys as long as the program runs.
        thread::spawn(move || {
            while let Ok(event) = event::read() {
                if ends(&event) {
                    // Whoever listened has ended already.
                    let _ = quit.blocking_send(());
                }
            }
        });
        Ok((screen, wanted))
    }

    /// Shows text in place of the last one, as much of it as there is room for.
    pub(super) fn show(&mut self, text: &str) -> io::Result<()> {
        let (columns, rows) = terminal::size()?;
        let mut stdout = io::stdout().lock();
        queue!(stdout, cursor::MoveTo(0, 0))?;
        for line in text.lines().take(usize::from(rows).saturating_sub(1)) {
            let line: String = line.chars().take(usize::from(columns)).collect();
            queue!(stdout, Clear(ClearType::CurrentLine))?;
            write!(stdout, "{line}\r\n")?;
        }
        queue!(stdout, Clear(ClearType::FromCursorDown))?;
        stdout.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = execute!(io::stdout(), cursor::Show, LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

/// Whether a key means: enough.
fn ends(event: &Event) -> bool {
    let Event::Key(KeyEvent {
        code,
        modifiers,
        kind: KeyEventKind::Press,
        ..
    }) = event
    else {
        return false;
    };
    let is_control = modifiers.contains(KeyModifiers::CONTROL);
    *code == KeyCode::Char('q') || *code == KeyCode::Char('c') && is_control
}
