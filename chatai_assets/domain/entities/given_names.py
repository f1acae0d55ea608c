"""Given names that mean one another: other spellings, other languages' sound of them, and short forms.

General knowledge of Russian and English names, modest by intent. Short forms of more than one name (``"Саша"``,
``"Женя"``, ``"Alex"``, ``"Chris"``) are left out: which one is meant, a name alone does not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from chatai_assets.domain.text.transliteration import person_spelling

_SPELLINGS = """
Aleksandr Alexander Aleksander Oleksandr
Aleksandra Alexandra
Aleksei Alexius Oleksii
Andrew Эндрю
Anthony Antony Энтони
Arthur Артур
Barack Барак
Charles Чарльз Чарлз
Christopher Кристофер
Daniel Дэниел Даниэль Дэниэл
David Дэвид Девид Давид
Dmitri Dimitri Dmytro Дмитро
Donald Дональд
Edward Эдвард Эдуард Eduard
Elizabeth Элизабет
Elon Илон
Emmanuel Эммануэль Эмманюэль
Eric Erik Эрик
George Джордж
Georgi Georgii Георгий
Grigori Gregory Грегори
Hillary Хиллари
Iuri Yury Youri Juri Jurij
Jack Джек
James Джеймс
Jane Джейн
Jason Джейсон
Jean Жан
Jeff Джефф
Jennifer Дженнифер
Jeremy Джереми
Joe Джо
John Джон
Jonathan Джонатан
Joseph Джозеф
Justin Джастин
Kate Кейт
Keir Кир Кейр
Kirill Cyril
Konstantin Constantin Constantine
Larry Ларри
Laura Лора Лаура
Lev Leo
Maksim Maxim Maxime
Mark Марк Marc
Mary Мэри
Matthew Мэтью Мэттью
Michael Майкл
Michelle Мишель
Mikhail Michail Mihail Mykhailo
Mike Майк
Mohammed Muhammad Mohammad Mohamed Мухаммед Мохаммед Мухаммад
Nicholas Николас Nicolas Николя
Nikolai Nicolai Mykola
Oleg Oleh
Patrick Патрик
Paul Пол
Pavel Pavlo
Peter Питер
Petr Pyotr Пётр Petro
Rachel Рейчел Рэйчел
Richard Ричард
Robert Роберт
Ronald Рональд
Ryan Райан
Sarah Сара Sara
Scott Скотт
Sergei Serge Serhii Serhiy
Simon Саймон
Sofia Sophia Sofya София Софья
Stephen Steven Стивен
Susan Сьюзан Сьюзен
Thomas Томас
Timothy Тимоти
Viktor Victor
Viktoria Victoria
Vladimir Wladimir Volodymyr Володимир
Vyacheslav Viacheslav Vjatscheslaw
Walter Уолтер Вальтер
William Уильям Вильям
Xi Си
Yekaterina Catherine Ekaterina Катерина
Yevgeny Eugene Evgeni Eugeny
Yulia Julia Iuliia Джулия
"""
_SHORT_FORMS = """
Анастасия Настя
Анатолий Толя
Анна Аня Анюта
Борис Боря
Василий Вася
Виктор Витя
Виктория Вика
Владимир Володя Вова
Галина Галя
Геннадий Гена
Георгий Жора
Григорий Гриша
Дарья Даша
Дмитрий Дима Митя
Екатерина Катя
Елена Лена
Елизавета Лиза
Иван Ваня
Илья Илюша
Ирина Ира
Константин Костя
Ксения Ксюша
Леонид Лёня
Людмила Люда
Максим Макс
Мария Маша Маруся
Михаил Миша
Надежда Надя
Наталья Наташа
Николай Коля
Ольга Оля
Павел Паша
Пётр Петя
Светлана Света
Сергей Серёжа
София Соня
Степан Стёпа
Татьяна Таня
Фёдор Федя
Юлия Юля
Юрий Юра
Алексей Лёша Алёша
Andrew Andy
Anthony Tony
Benjamin Ben
Daniel Dan Danny Дэн
David Dave Дэйв
James Jim Jimmy Джим Джимми
Joseph Joe Джо
Kenneth Ken
Michael Mike Майк
Nicholas Nick
Richard Dick
Robert Bob Rob Боб Роб
Ronald Ron
Stephen Steve Стив
Susan Sue
Thomas Tom Том
Timothy Tim Тим
William Bill Will Билл Уилл
"""
_OTHERS = """
Адам Альберт Алина Алла Алёна Ангелина Андрей Антон Антонина Аркадий Арсений Артём Богдан Вадим Валентин Валентина
Валерий Валерия Варвара Вера Вероника Виталий Виталина Владислав Глеб Денис Диана Евдокия Евгения Егор Ефим Захар
Зинаида Зоя Игорь Инна Кира Клавдия Лариса Лидия Любовь Маргарита Марина Матвей Мирослав Назар Наум Никита Нина
Оксана Олеся Полина Раиса Ринат Родион Роман Руслан Рустам Святослав Семён Станислав Таисия Тамара Тарас Тимофей
Тимур Ульяна Филипп Эдуард Эльвира Эмма Яков Ян Яна Ярослав Рамзан Олексий
Alan Albert Alice Amy Angela Anne Brian Boris Carl Carol Claire Dennis Diana Emily Emma Frank Gary Helen Henry Ivan
Jessica Karen Kevin Kamala Linda Lisa Lucy Luke Maria Martha Nancy Narendra Oliver Olivia Oscar Philip Ruth Sam Sean
Stuart Sundar Tatiana Tanya Ursula Vincent Volodymyr Yair Angela Ангела Эмили Лиза Линда Кевин Генри Фрэнк Оливер
"""


@cache
def spellings() -> Mapping[str, str]:
    """Return spelling -> the one that stands for all of a name, both as ``person_spelling`` folds them."""
    return _read(_SPELLINGS)


@cache
def full_names() -> Mapping[str, str]:
    """Return short form -> full name, both as ``person_spelling`` folds them and as ``spellings`` gives them."""
    known = spellings()
    return {known.get(short, short): known.get(full, full) for short, full in _read(_SHORT_FORMS).items()}


@cache
def given_names() -> frozenset[str]:
    """Return all given names that are known here, folded."""
    groups = (_SPELLINGS, _SHORT_FORMS, _OTHERS)
    return frozenset(person_spelling(word.casefold().replace("ё", "е")) for group in groups for word in group.split())


def _read(groups: str) -> dict[str, str]:
    """Return word -> first word of its line."""
    lines = [_folded(line) for line in groups.strip().splitlines()]
    return {word: line[0] for line in lines for word in line[1:] if word != line[0]}


def _folded(line: str) -> list[str]:
    return [person_spelling(word.casefold().replace("ё", "е")) for word in line.split()]
